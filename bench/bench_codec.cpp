// What do typed messages cost over bytes, and over msgpack-cxx used by hand?
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "codec_deltas.hpp"
#include "codec_filters.hpp"
#include "codec_peers.hpp"
#include "harness/clock.hpp"
#include "harness/measure.hpp"
#include "harness/suite.hpp"
#include "sluice/codec.hpp"
#include "sluice_channel.hpp"
#include "timed_work.hpp"

namespace sluice::bench {
namespace {

/// The small record: two short strings and an integer, which carry a message's bytes.
template <typename Text>
struct Record {
  Text first;
  Text second;
  std::uint64_t number = 0;
  MSGPACK_DEFINE(first, second, number)
};
using Owning = Record<std::string>;
using View = Record<std::string_view>;

constexpr std::size_t kTextBytes = 8;
constexpr std::size_t kMessageBytes = 2 * kTextBytes + sizeof(std::uint64_t);
constexpr std::size_t kPackedBytes = 1 + 2 * (1 + kTextBytes) + 9;

View record_of(Bytes message) {
  const std::string_view text = text_of(message);
  View record{text.substr(0, kTextBytes), text.substr(kTextBytes, kTextBytes)};
  std::memcpy(&record.number, message.data() + 2 * kTextBytes, sizeof record.number);
  return record;
}

template <typename Text>
std::array<std::byte, kMessageBytes> bytes_of(const Record<Text>& record) {
  if (record.first.size() != kTextBytes || record.second.size() != kTextBytes)
    throw std::runtime_error("a record of other texts came");
  std::array<std::byte, kMessageBytes> bytes;
  std::memcpy(bytes.data(), record.first.data(), kTextBytes);
  std::memcpy(bytes.data() + kTextBytes, record.second.data(), kTextBytes);
  std::memcpy(bytes.data() + 2 * kTextBytes, &record.number, sizeof record.number);
  return bytes;
}

/// codec::post and receive.
class TypedEnd {
 public:
  TypedEnd(Port port, bool in_place) : port_(std::move(port)), decoder_({.in_place = in_place}) {}

  void send(Bytes message) { expect_ok(codec::post(port_, record_of(message)), "post"); }
  template <class Handler>
  void receive(Handler&& handler) {
    const auto record = codec::receive<View>(port_, decoder_);
    expect_ok(record.status(), "receive");
    handler(bytes_of(*record));
  }

 private:
  Port port_;
  codec::Decoder decoder_;
};

/// What a program would do without the codec room: msgpack-cxx before post_message and after receive.
class HandmadeEnd {
 public:
  HandmadeEnd(Port port, bool /*in_place*/) : port_(std::move(port)) {}

  void send(Bytes message) {
    buffer_.clear();
    msgpack::pack(buffer_, record_of(message));
    expect_ok(port_.post_message(std::as_bytes(std::span(buffer_.data(), buffer_.size()))), "post_message");
  }
  template <class Handler>
  void receive(Handler&& handler) {
    const auto message = port_.receive();
    expect_ok(message.status(), "receive");
    const std::string_view text = message.text();
    handler(bytes_of(msgpack::unpack(text.data(), text.size()).get().as<Owning>()));
  }

 private:
  Port port_;
  msgpack::sbuffer buffer_;
};

template <class End, bool kInPlace>
class RecordChannel {
 public:
  explicit RecordChannel(const ChannelOptions& options) : options_(options) {}

  End open(Side side) {
    PortOptions port;
    port.ring_bytes = options_.ring_bytes;
    port.wait.strategy = strategy_of(options_.wait(side));
    const auto path = folder_.path() + "/port";
    if (side == Side::first) return {listen(path, {.port = port}).accept(), kInPlace};
    return {connect(path, {.port = port}), kInPlace};
  }

 private:
  ChannelOptions options_;
  TemporaryFolder folder_;
};

template <class C>
Subject through(std::string name, std::string floor, std::size_t bytes) {
  return {std::move(name), std::move(floor), [bytes](const Cores& cores, const RunPlan& plan) {
            return latency_metrics(measure_round_trip<C>(cores, {.message_bytes = bytes}, plan));
          }};
}

View numbered(std::uint64_t number) {
  return {"customer", "a remark", number};
}

/// A packed record, whose number is written anew for each i.
class Packed {
 public:
  Packed() { msgpack::pack(buffer_, numbered(UINT64_MAX)); }
  Bytes with(std::uint64_t number) {
    char* const end = buffer_.data() + buffer_.size();
    for (int byte = 1; byte <= 8; ++byte, number >>= 8U) end[-byte] = static_cast<char>(number & 0xffU);
    return std::as_bytes(std::span(buffer_.data(), buffer_.size()));
  }

 private:
  msgpack::sbuffer buffer_;
};

template <typename Text>
auto decoding(bool in_place) {
  return [in_place] {
    return [packed = std::make_shared<Packed>(),
            decoder = std::make_shared<codec::Decoder>(codec::DecodeOptions{.in_place = in_place})](
               std::uint64_t i) { return decoder->decode<Record<Text>>(packed->with(i)).number; };
  };
}

auto unpacking() {
  return [packed = std::make_shared<Packed>()](std::uint64_t i) {
    const std::string_view text = text_of(packed->with(i));
    return msgpack::unpack(text.data(), text.size()).get().as<Owning>().number;
  };
}

void add_round_trips(Suite& suite) {
  using Handmade = RecordChannel<HandmadeEnd, false>;
  suite.add(
      {"round trip of a small record, spin",
       kPackedBytes,
       {through<Ports>("port, bytes", "", kPackedBytes / 8 * 8),
        through<Handmade>("msgpack-cxx by hand", "port, bytes", kMessageBytes),
        through<RecordChannel<TypedEnd, false>>("typed, private copy", "msgpack-cxx by hand", kMessageBytes),
        through<RecordChannel<TypedEnd, true>>("typed, in place", "msgpack-cxx by hand", kMessageBytes)}});
}

void add_decoding(Suite& suite) {
  suite.add({"decode a small record",
             kPackedBytes,
             {timed("msgpack-cxx unpack", "", unpacking),
              timed("in place", "msgpack-cxx unpack", decoding<std::string_view>(true)),
              timed("private copy", "msgpack-cxx unpack", decoding<std::string>(false))}});
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Suite suite("bench_codec",
                             "what do typed messages cost over bytes, and over msgpack-cxx used by hand?");
  sluice::bench::add_round_trips(suite);
  sluice::bench::add_decoding(suite);
  sluice::bench::add_calls(suite);
  sluice::bench::add_streams(suite);
  sluice::bench::add_filters(suite);
  sluice::bench::add_deltas(suite);
  return suite.run(argc, argv);
}

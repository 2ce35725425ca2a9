#include "codec_deltas.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <msgpack.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"
#include "sluice_channel.hpp"
#include "timed_work.hpp"

namespace sluice::bench {
namespace {

using codec::PackedValue;

constexpr std::size_t kEntries = 10'000;

/// A map of 10,000 fields, of which ten change in an update.
struct Fields {
  struct State {
    std::vector<std::pair<std::string, std::uint64_t>> fields;

    template <typename Packer>
    void msgpack_pack(Packer& packer) const {
      packer.pack_map(static_cast<std::uint32_t>(fields.size()));
      for (const auto& field : fields) packer.pack(field.first).pack(field.second);
    }
    void msgpack_unpack(const msgpack::object& value) {
      if (value.type != msgpack::type::MAP) throw msgpack::type_error();
      fields.resize(value.via.map.size);
      for (std::size_t i = 0; i < fields.size(); ++i) {
        value.via.map.ptr[i].key.convert(fields[i].first);
        value.via.map.ptr[i].val.convert(fields[i].second);
      }
    }
  };

  State state;

  Fields() {
    for (std::size_t i = 0; i < kEntries; ++i)
      state.fields.emplace_back("field " + std::to_string(i), 1'000'000 + i);
  }
  void update(std::uint64_t number) {
    for (std::size_t i = number % 1000; i < kEntries; i += 1000) state.fields[i].second = 1'000'000 + number;
  }
  static bool came(const State& state, std::uint64_t number) {
    return state.fields.size() == kEntries && state.fields[number % 1000].second == 1'000'000 + number &&
           state.fields[kEntries - 1000 + number % 1000].second == 1'000'000 + number;
  }
};

/// A list of 10,000 items, of which one is inserted in the middle in an update, in place of another elsewhere.
struct List {
  using State = std::vector<std::string>;

  State state;

  List() {
    for (std::size_t i = 0; i < kEntries; ++i) state.push_back("an item " + std::to_string(i));
  }
  void update(std::uint64_t number) {
    state.insert(state.begin() + kEntries / 2, "number " + std::to_string(number));
    if (state.size() > kEntries + 1) state.erase(state.begin() + kEntries / 2 + 100);
  }
  static bool came(const State& state, std::uint64_t number) {
    return state.size() == kEntries + 1 && state[kEntries / 2] == "number " + std::to_string(number);
  }
};

/// Updates of a state: changed, packed, carried through a port, and a State again behind it. From the first update on
/// all is the same for both ways but what lies between the packed value and the other side's tree.
template <class States, bool kDeltas>
class Updates {
 public:
  Updates() : ports_(make_port_pair({.ring_bytes = std::size_t{1} << 20U})) { run(0); }
  Updates(const Updates&) = delete;
  Updates& operator=(const Updates&) = delete;

  std::uint64_t run(std::uint64_t number) {
    states_.update(number);
    const auto value = PackedValue::of(states_.state);
    const bool came = kDeltas ? send_delta(value, number) : send_full(value, number);
    return came ? number : number + 1;
  }
  /// Of the last update.
  std::size_t bytes() const { return bytes_; }

 private:
  Message carry(Bytes bytes) {
    bytes_ = bytes.size();
    expect_ok(ports_.first.post_message(bytes), "post_message");
    auto message = ports_.second.receive();
    expect_ok(message.status(), "receive");
    return message;
  }
  bool send_full(const codec::SharedValue& value, std::uint64_t number) {
    const auto message = carry(value->bytes());
    return States::came(decoder_.decode<typename States::State>(message.bytes()), number);
  }
  bool send_delta(const codec::SharedValue& value, std::uint64_t number) {
    const auto item = manager_.encode(value, ++sequence_);
    const auto message = carry(item->bytes());
    if (applier_.apply(item->form, item->base, sequence_, message.bytes()) != codec::Applied::taken)
      return false;
    return States::came(applier_.root().template as<typename States::State>(), number);
  }

  std::pair<Port, Port> ports_;
  States states_;
  codec::Decoder decoder_;
  codec::DeltaStreamManager manager_;
  codec::DeltaStreamApplier applier_;
  std::uint64_t sequence_ = 0;
  std::size_t bytes_ = 0;
};

template <class States, bool kDeltas>
Subject updates(std::string name, std::string floor) {
  return {std::move(name), std::move(floor), [](const Cores&, const RunPlan& plan) {
            Updates<States, kDeltas> updates;
            Metrics metrics = time_of(
                plan, [&](std::uint64_t number) { return updates.run(number + 1) - 1; }, 16);
            metrics.push_back({"bytes", static_cast<double>(updates.bytes()), "B"});
            return metrics;
          }};
}

template <class States>
void add(Suite& suite, std::string name) {
  suite.add({std::move(name),
             PackedValue::of(States().state)->bytes().size(),
             {updates<States, false>("full", ""), updates<States, true>("delta", "full")}});
}

}  // namespace

void add_deltas(Suite& suite) {
  add<Fields>(suite, "delta, 10 of 10,000 fields");
  add<List>(suite, "delta, insert into 10,000 items");
}

}  // namespace sluice::bench

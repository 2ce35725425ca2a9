#include "sluice/codec/observe_options.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "names.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/detail/pack_buffer.hpp"
#include "sluice/codec/error.hpp"
#include "stream_options.hpp"

namespace sluice::codec {
namespace {

constexpr const char* kValidKeys = R"("credit", "slow", "filter", "delta")";

std::string_view text_in(const msgpack::object& value) {
  if (value.type != msgpack::type::STR) return {};
  return {value.via.str.ptr, value.via.str.size};
}

void read_option(StreamOptions& options, std::string_view key, const msgpack::object& value) {
  if (key == "credit") {
    options.credit = value.type == msgpack::type::POSITIVE_INTEGER ? value.via.u64 : 0;
    if (options.credit >= 1 && options.credit <= kMaxCredit) return;
    throw error(sluice::errc::bad_option,
                "\"credit\": expected 1 to " + std::to_string(kMaxCredit) + ", got " + describe(value));
  }
  if (key == "slow") {
    const auto text = text_in(value);
    if (text == "block") {
      options.slow = SlowPolicy::block;
    } else if (text != "conflate") {
      throw error(sluice::errc::bad_option,
                  R"("slow": expected "conflate" or "block", got )" + base::quoted_text(text));
    }
    return;
  }
  if (key == "filter") {
    options.filter = Filter::from(value);
    return;
  }
  if (key == "delta") {
    const auto text = text_in(value);
    if (text == "generic") {
      options.delta = DeltaKind::generic;
    } else if (text == "own") {
      options.delta = DeltaKind::own;
    } else if (text != "none") {
      throw error(sluice::errc::bad_option,
                  R"("delta": expected "none", "generic" or "own", got )" + base::quoted_text(text));
    }
    return;
  }
  throw error(sluice::errc::bad_option,
              "option " + base::quoted_text(key) + " of a stream: expected one of " + kValidKeys);
}

void check_window(std::uint64_t window) {
  if (window >= 1 && window <= kMaxCredit) return;
  throw error(sluice::errc::bad_option, "ObserveOptions::window: expected 1 to " +
                                            std::to_string(kMaxCredit) + ", got " + std::to_string(window));
}

}  // namespace

StreamOptions read_stream_options(std::span<const std::byte> packed, DecodeOptions limits) {
  limits.in_place = true;  // the frame is a private copy
  Decoder decoder(limits);
  const auto root = decoder.decode<msgpack::object>(packed);
  if (root.type != msgpack::type::MAP)
    throw error(errc::wrong_type, "a stream's options: expected a map, got " + describe(root));
  StreamOptions options;
  for (std::uint32_t i = 0; i < root.via.map.size; ++i) {
    const auto& pair = root.via.map.ptr[i];
    read_option(options, text_in(pair.key), pair.val);
  }
  return options;
}

detail::ObservationStart ObserveOptions::start(std::string_view actor, std::string_view state,
                                               DeltaKind kind) const {
  check_name("actor", actor);
  check_name("state", state);
  check_window(window);
  detail::PackBuffer packed;
  msgpack::packer<detail::PackBuffer> packer(packed);
  packer.pack_map(4);
  packer.pack("credit");
  packer.pack(window);
  packer.pack("slow");
  packer.pack(slow == SlowPolicy::block ? "block" : "conflate");
  packer.pack("filter");
  packer.pack(filter);
  packer.pack("delta");
  packer.pack(!delta ? "none" : kind == DeltaKind::own ? "own" : "generic");
  detail::ObservationStart start;
  start.actor = actor;
  start.state = state;
  start.options.assign(packed.bytes().begin(), packed.bytes().end());
  start.delta = delta;
  start.window = window;
  return start;
}

detail::ObservationStart ObserveOptions::resumption(const StreamCheckpoint& checkpoint) {
  using Target =
      msgpack::type::tuple<std::string, std::string, std::uint64_t, std::string, std::uint64_t, std::string>;
  Target target;
  try {
    target = decode<Target>(std::as_bytes(std::span(checkpoint.target)));
    if (target.get<5>().size() != sizeof(Id)) throw error(errc::wrong_type, "a seal of another size");
  } catch (const error& wrong) {
    throw wrong.about("a checkpoint that isn't that of an observed state");
  }
  check_name("actor", target.get<0>());
  check_name("state", target.get<1>());
  check_window(target.get<2>());
  const auto options = std::as_bytes(std::span(target.get<3>()));
  detail::ObservationStart start;
  start.actor = target.get<0>();
  start.state = target.get<1>();
  start.options.assign(options.begin(), options.end());
  start.delta = read_stream_options(options, {}).delta.has_value();
  start.window = target.get<2>();
  start.stream = checkpoint.stream;
  start.last = checkpoint.sequence;
  start.place = checkpoint.position;
  start.ticket.start = target.get<4>();
  std::ranges::copy(target.get<5>(), start.ticket.seal.begin());
  return start;
}

}  // namespace sluice::codec

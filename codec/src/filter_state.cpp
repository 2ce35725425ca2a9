#include "sluice/codec/filter_state.hpp"

#include <algorithm>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "filter_spec.hpp"
#include "packed_walk.hpp"
#include "sluice/codec/detail/values_equal.hpp"

namespace sluice::codec {
namespace {

using detail::FilterNode;
using Kind = FilterVerdict::Kind;

static_assert(kMostFilterNodes <= 32, "held_ has a bit for each node");

constexpr FilterVerdict kDrop{Kind::drop};
constexpr FilterVerdict kPass{Kind::pass};

/// Of a packed value; true also if there is none.
bool is_empty(std::span<const std::byte> value) noexcept {
  constexpr std::uint8_t kNil = 0xc0;
  if (value.empty()) return true;
  const auto tag = std::to_integer<std::uint8_t>(value.front());
  const Shape& shape = kShapes[tag];
  const bool is_container = shape.each != 0;
  const bool is_binary = tag >= 0xc4 && tag <= 0xc6;
  if (is_container || is_binary) return length_behind(value.data(), shape) == 0;
  const auto text = text_in(value);
  return tag == kNil || (text && text->empty());
}

/// The number that a packed value is; nil if it is none.
msgpack::object number_in(std::span<const std::byte> value) noexcept {
  if (value.empty()) return {};
  const auto tag = std::to_integer<std::uint8_t>(value.front());
  if (tag <= 0x7f) return msgpack::object(tag);
  if (tag >= 0xe0) return msgpack::object(static_cast<std::int8_t>(tag));
  std::uint64_t bits = 0;
  for (const std::byte byte : value.subspan(1).first(std::min<std::size_t>(value.size() - 1, 8)))
    bits = bits << 8U | std::to_integer<std::uint64_t>(byte);
  switch (tag) {
    case 0xca:
      return msgpack::object(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    case 0xcb:
      return msgpack::object(std::bit_cast<double>(bits));
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
      return msgpack::object(bits);
    case 0xd0:
      return msgpack::object(static_cast<std::int8_t>(bits));
    case 0xd1:
      return msgpack::object(static_cast<std::int16_t>(bits));
    case 0xd2:
      return msgpack::object(static_cast<std::int32_t>(bits));
    case 0xd3:
      return msgpack::object(static_cast<std::int64_t>(bits));
    default:
      return {};
  }
}

bool holds(std::weak_ordering order, Comparison comparison) noexcept {
  switch (comparison) {
    case Comparison::gt:
      return std::is_gt(order);
    case Comparison::gte:
      return std::is_gteq(order);
    case Comparison::lt:
      return std::is_lt(order);
    case Comparison::lte:
      return std::is_lteq(order);
    case Comparison::eq:
      return std::is_eq(order);
    case Comparison::neq:
      break;
  }
  return std::is_neq(order);
}

/// Of a part and the parts before it: the lesser verdict, and of two that wait the one that waits longer.
bool outdoes_in_all_of(const FilterVerdict& part, const FilterVerdict& so_far) noexcept {
  if (part.kind != so_far.kind) return part.kind < so_far.kind;
  return part.kind == Kind::later && part.at > so_far.at;
}

/// The greater verdict, and of two that wait the one that waits less.
bool outdoes_in_any_of(const FilterVerdict& part, const FilterVerdict& so_far) noexcept {
  if (part.kind != so_far.kind) return part.kind > so_far.kind;
  return part.kind == Kind::later && part.at < so_far.at;
}

/// One look at one value.
struct Look {
  const detail::FilterSpec& spec;
  const PackedValue& value;
  const PackedValue* sent;  // null: none
  std::optional<Deadline> sent_at;
  Deadline now;
  std::uint32_t held;   // see FilterState
  std::uint32_t holds;  // set here

  FilterVerdict judge(std::size_t place) {
    const FilterNode& node = spec.nodes[place];
    switch (node.kind) {
      case FilterNode::Kind::all:
        return kPass;
      case FilterNode::Kind::changed:
        return is_unchanged(node.field) ? kDrop : kPass;
      case FilterNode::Kind::non_empty:
        return is_empty(node.field.find(value.bytes())) ? kDrop : kPass;
      case FilterNode::Kind::threshold:
        return judge_threshold(node, std::uint32_t{1} << place);
      case FilterNode::Kind::rate_limit:
        if (!sent_at || now - *sent_at >= node.interval) return kPass;
        return {Kind::later, *sent_at + node.interval};
      case FilterNode::Kind::all_of:
        return judge_parts(place, kPass, kDrop, outdoes_in_all_of);
      case FilterNode::Kind::any_of:
        return judge_parts(place, kDrop, kPass, outdoes_in_any_of);
      case FilterNode::Kind::none_of:
        break;
    }
    return judge(place + 1) == kDrop ? kPass : kDrop;
  }

 private:
  /// A crossing has to see every value, so its parts aren't passed over once the verdict is clear.
  template <typename Outdoes>
  FilterVerdict judge_parts(std::size_t place, FilterVerdict verdict, FilterVerdict clear, Outdoes outdoes) {
    const std::size_t end = place + spec.nodes[place].nodes;
    for (std::size_t at = place + 1; at < end; at += spec.nodes[at].nodes) {
      const FilterVerdict part = judge(at);
      if (outdoes(part, verdict)) verdict = part;
      if (verdict == clear && !spec.crosses) break;
    }
    return verdict;
  }

  bool is_unchanged(const FieldPath& field) const {
    if (sent == nullptr) return false;
    if (sent == &value || same_bytes(field.find(value.bytes()), field.find(sent->bytes()))) return true;
    const auto* const now_there = field.find(value.root());
    const auto* const then_there = field.find(sent->root());
    if (now_there == nullptr || then_there == nullptr) return now_there == then_there;
    return detail::values_equal(*now_there, *then_there);
  }

  FilterVerdict judge_threshold(const FilterNode& node, std::uint32_t bit) {
    const msgpack::object number = number_in(node.field.find(value.bytes()));
    if (!detail::is_number(number)) return node.non_numbers == NonNumbers::pass ? kPass : kDrop;
    const bool now_holds =
        codec::holds(detail::order_of_scalars(number, msgpack::object(node.value)), node.comparison);
    if (!node.is_crossing()) return now_holds ? kPass : kDrop;
    holds = now_holds ? holds | bit : holds & ~bit;
    return now_holds && (held & bit) == 0 ? kPass : kDrop;
  }
};

}  // namespace

FilterVerdict FilterState::judge(const PackedValue& value, Deadline now) {
  const detail::FilterSpec* const spec = filter_.spec();
  if (spec == nullptr) return kPass;
  const auto sent_at = sent_at_ == kNever ? std::nullopt : std::optional(sent_at_);
  Look look{*spec, value, sent_.get(), sent_at, now, held_, held_};
  const FilterVerdict verdict = look.judge(0);
  holds_ = look.holds;
  // What waits to be sent hasn't told yet that a comparison began to hold.
  held_ = verdict == kDrop ? holds_ : held_ & holds_;
  return verdict;
}

void FilterState::note_sent(const SharedValue& value, Deadline now) noexcept {
  const detail::FilterSpec* const spec = filter_.spec();
  if (spec == nullptr) return;
  if (spec->compares) sent_ = value;
  sent_at_ = now;
  held_ = holds_;
}

}  // namespace sluice::codec

// Deltas of a type's own, in place of those that codec makes from packed bytes. Two functions beside the type:
//
//   struct Counter { std::uint64_t count = 0; std::string name; MSGPACK_DEFINE(count, name) };
//
//   std::optional<std::uint64_t> delta(const Counter& from, const Counter& to) {  // nothing: send the full value
//     if (from.name != to.name) return std::nullopt;
//     return to.count - from.count;
//   }
//   Counter applying(const Counter& base, std::uint64_t delta) { return {base.count + delta, base.name}; }
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "sluice/codec/decoder.hpp"
#include "sluice/codec/delta_stream.hpp"
#include "sluice/codec/packed_value.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// What delta(from, to) of a type is, if there is one. It is posted, so it can be packed and decoded.
template <typename T>
using StateDelta = std::remove_cvref_t<decltype(*delta(std::declval<const T&>(), std::declval<const T&>()))>;

/// A type with delta() and applying(), which are looked for in its namespace.
template <typename T>
concept DeltaCodable = requires(const T& from, const T& to, const StateDelta<T>& change) {
  { delta(from, to) } -> std::convertible_to<std::optional<StateDelta<T>>>;
  { applying(from, change) } -> std::convertible_to<T>;
};

/// Makes the type's own delta between two values that follow each other, and keeps it for the streams that want it.
/// For who updates a state: call it before the new value is sent. Streams that have sent another value than
/// `packed_from` send the full one, as all do if there is no delta, or none that is smaller. Throws what delta() and
/// packing throw.
template <DeltaCodable T>
void keep_own_delta(const T& from, const SharedValue& packed_from, const T& to,
                    const SharedValue& packed_to) {
  const std::optional<StateDelta<T>> change = delta(from, to);
  if (!change) return;
  detail::GrowingWriter writer;
  msgpack::packer<detail::GrowingWriter>(writer).pack(*change);
  if (writer.size() < packed_to->bytes().size())
    packed_to->deltas().keep_own(packed_from, std::move(writer).take());
}

/// Holds the newest value of a stream whose items are full values or the type's own deltas. A T owns what it
/// refers to (no views). A call that throws leaves it as it was. Thread-safety: one thread at a time.
template <DeltaCodable T>
class OwnDeltaApplier {
 public:
  explicit OwnDeltaApplier(const DecodeOptions& limits = {}) : decoder_(limits) {}

  /// As DeltaStreamApplier::apply; throws what applying() throws, too.
  Applied apply(StreamForm form, std::uint64_t base, std::uint64_t sequence,
                std::span<const std::byte> bytes) {
    if (form == StreamForm::full) {
      value_ = decoder_.decode<T>(bytes);
    } else if (form != StreamForm::own_delta) {
      detail::refuse_form(form);
    } else if (!value_ || sequence_ != base) {
      return Applied::full_wanted;
    } else {
      value_ = T(applying(*value_, decoder_.decode<StateDelta<T>>(bytes)));
    }
    sequence_ = sequence;
    return Applied::taken;
  }

  bool has_value() const noexcept { return value_.has_value(); }
  /// The value, and its sequence. Only if there is one.
  const T& operator*() const noexcept { return *value_; }
  std::uint64_t sequence() const noexcept { return sequence_; }

 private:
  Decoder decoder_;
  std::optional<T> value_;
  std::uint64_t sequence_ = 0;
};

}  // namespace sluice::codec

#pragma GCC visibility pop

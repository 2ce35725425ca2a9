// The values of one stream as deltas: what to send at the one end, the value again at the other.
//
//   DeltaStreamManager manager;                                      // at the server, one a stream
//   if (auto item = manager.encode(value, sequence)) send(item->form, item->base, sequence, item->bytes());
//
//   DeltaStreamApplier applier;                                      // at the observer
//   if (applier.apply(form, base, sequence, bytes) == Applied::full_wanted) ask_for_a_full_value();
//   else use(applier.root().as<State>());
#pragma once

#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "sluice/codec/decode_options.hpp"
#include "sluice/codec/detail/delta_cache.hpp"
#include "sluice/codec/detail/edited_tree.hpp"
#include "sluice/codec/packed_value.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// How an item of a stream carries its value.
enum class StreamForm : std::uint8_t {
  full = 0,       ///< the packed value
  delta = 1,      ///< a delta of docs/formats/deltas.md
  own_delta = 2,  ///< a delta of the type's own: see own_delta.hpp
};

/// Which deltas a stream has. One that has a type's own has full values beside them, and no others.
enum class DeltaKind : std::uint8_t { generic, own };

/// What a stream sends for a value. Keeps its bytes alive. Thread-safety: a value type.
class EncodedValue {
 public:
  /// The full value.
  explicit EncodedValue(SharedValue value) noexcept : value_(std::move(value)) {}
  /// A delta on the value that was sent as number `base_sequence`.
  EncodedValue(StreamForm delta_form, std::uint64_t base_sequence, detail::SharedDelta delta) noexcept
      : form(delta_form), base(base_sequence), delta_(std::move(delta)) {}

  StreamForm form = StreamForm::full;
  std::uint64_t base = 0;  ///< of a delta: the sequence of the value that it builds on
  std::span<const std::byte> bytes() const noexcept {
    return delta_ ? std::span<const std::byte>(*delta_) : value_->bytes();
  }

 private:
  SharedValue value_;
  detail::SharedDelta delta_;
};

/// Decides what one stream sends: a full value first, then deltas, if they are smaller. Shares the last value and
/// its delta with all streams of the state. Thread-safety: one thread at a time; any number of managers may have the
/// same values.
class DeltaStreamManager {
 public:
  explicit DeltaStreamManager(DeltaKind kind = DeltaKind::generic) noexcept : kind_(kind) {}

  /// What to send for the next value, which gets this sequence. Nothing if it has the bytes of the last one. Who can't
  /// send what this returned calls reset(). Throws std::bad_alloc, and keeps the last value then.
  std::optional<EncodedValue> encode(SharedValue value, std::uint64_t sequence);

  /// The next value is sent in full, also if it is the last one again: for a new observer, or one that wants it.
  void reset() noexcept { last_.reset(); }

 private:
  DeltaKind kind_;
  SharedValue last_;  // that was sent
  std::uint64_t sequence_ = 0;
};

/// What became of an item.
enum class [[nodiscard]] Applied : std::uint8_t{
    taken,
    full_wanted,  ///< a delta on another value than the one here, which stays: ask for a full one
};

namespace detail {
[[noreturn]] void refuse_form(StreamForm form);
}

/// Holds the newest value of a stream. A call that throws leaves it as it was. Thread-safety: one thread at a time.
class DeltaStreamApplier {
 public:
  /// The limits hold for each full value, and for what deltas make of it. Throws errc::bad_option (of sluice) for a
  /// max_depth beyond kDeepestLevel.
  explicit DeltaStreamApplier(const DecodeOptions& limits = {}) : tree_(limits) {}

  /// Takes an item. Throws sluice::error with a code of codec::errc if the bytes are no value or no delta, or one that
  /// doesn't fit, or if a limit is exceeded; deltas that follow want a full value then.
  Applied apply(StreamForm form, std::uint64_t base, std::uint64_t sequence,
                std::span<const std::byte> bytes);

  bool has_value() const noexcept { return sequence_.has_value(); }
  /// Of the value. Only if there is one.
  std::uint64_t sequence() const noexcept { return *sequence_; }
  /// The value; convert it as any msgpack::object. It and its strings are valid until the next apply(). Nil if there
  /// is none.
  const msgpack::object& root() const noexcept { return tree_.root(); }
  /// The value, packed.
  std::vector<std::byte> pack() const { return tree_.pack(); }

 private:
  detail::EditedTree tree_;
  std::optional<std::uint64_t> sequence_;
};

}  // namespace sluice::codec

#pragma GCC visibility pop

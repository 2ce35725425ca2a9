// What an observer can ask of a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sluice/codec/delta_stream.hpp"
#include "sluice/codec/detail/observation.hpp"
#include "sluice/codec/filter.hpp"
#include "sluice/ipc/checkpoint/checkpoint.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// What becomes of values that an observer doesn't take in time.
enum class SlowPolicy : std::uint8_t {
  conflate,  ///< the newest replaces those that weren't sent yet
  block,     ///< every value is sent; see StateOptions::longest_wait
};

/// The most items that an observer may let come at once.
inline constexpr std::uint64_t kMaxCredit = 65'536;

/// Thread-safety: a value type.
struct ObserveOptions {
  SlowPolicy slow = SlowPolicy::conflate;
  /// Items that may be on their way, 1 .. kMaxCredit.
  std::uint64_t window = 32;
  /// What the server is to send: see filter.hpp.
  Filter filter{};
  /// Whether changes come as deltas, if they are smaller. (A type with deltas of its own gets those, if the server's
  /// type has them, too.)
  bool delta = false;

  /// A stream's beginning with these options, and with deltas of this kind. Throws errc::bad_option, errc::bad_name.
  detail::ObservationStart start(std::string_view actor, std::string_view state, DeltaKind kind) const;
  /// That of a stream that goes on. Throws codec::errc::wrong_type if the checkpoint isn't that of an observed state.
  static detail::ObservationStart resumption(const StreamCheckpoint& checkpoint);
};

}  // namespace sluice::codec

#pragma GCC visibility pop

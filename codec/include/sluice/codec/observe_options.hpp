// What an observer can ask of a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sluice/codec/detail/observation.hpp"
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

  /// A stream's beginning with these options. Throws errc::bad_option, errc::bad_name.
  detail::ObservationStart start(std::string_view actor, std::string_view state) const;
  /// That of a stream that goes on. Throws codec::errc::wrong_type if the checkpoint isn't that of an observed state.
  static detail::ObservationStart resumption(const StreamCheckpoint& checkpoint);
};

}  // namespace sluice::codec

#pragma GCC visibility pop

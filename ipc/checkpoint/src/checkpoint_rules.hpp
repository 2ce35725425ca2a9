// What every checkpoint storage checks, and how the age of a checkpoint is counted.
#pragma once

#include <chrono>
#include <string_view>

#include "sluice/ipc/checkpoint/checkpoint.hpp"

namespace sluice::ipc {

/// Throws errc::bad_option.
void check_checkpoint_options(const CheckpointOptions& options);

/// Throws errc::bad_name.
void check_checkpoint_key(std::string_view key);

/// Throws errc::bad_option.
void check_checkpoint(const StreamCheckpoint& checkpoint);

/// From `time` to `now` by the wall clock; zero if that is in the future. Both must not be before 1970.
std::chrono::nanoseconds wall_age(std::chrono::system_clock::time_point time,
                                  std::chrono::system_clock::time_point now) noexcept;

/// The sum, at most the largest duration. Neither may be negative.
std::chrono::nanoseconds saturated_sum(std::chrono::nanoseconds a, std::chrono::nanoseconds b) noexcept;

LoadedCheckpoint judge_checkpoint(StreamCheckpoint checkpoint, std::chrono::nanoseconds age,
                                  std::chrono::nanoseconds expiry);

}  // namespace sluice::ipc

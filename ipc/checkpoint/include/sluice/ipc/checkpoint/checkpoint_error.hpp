// What can be wrong with a stored checkpoint.
#pragma once

#include <system_error>

#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// Conditions of checkpoints, thrown as sluice::error.
enum class checkpoint_errc {
  bad_checkpoint = 1,  ///< what is stored is damaged, is no checkpoint, or doesn't fit the session
  bad_version,         ///< a checkpoint of a later version
};

/// The category of checkpoint_errc, named "sluice.checkpoint".
const std::error_category& checkpoint_category() noexcept;

inline std::error_code make_error_code(checkpoint_errc code) noexcept {
  return {static_cast<int>(code), checkpoint_category()};
}

}  // namespace sluice

template <>
struct std::is_error_code_enum<sluice::checkpoint_errc> : std::true_type {};

#pragma GCC visibility pop

// What can be wrong with a region.
#pragma once

#include <system_error>

#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::ring {

/// Conditions of the ring room, thrown as sluice::error.
enum class errc {
  bad_region = 1,  ///< a shared-memory region isn't what its owner says, isn't sealed, or breaks a rule
  bad_version,     ///< a region of another layout
};

/// The category of sluice::ring::errc, named "sluice.ring".
const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), category()};
}

}  // namespace sluice::ring

template <>
struct std::is_error_code_enum<sluice::ring::errc> : std::true_type {};

#pragma GCC visibility pop

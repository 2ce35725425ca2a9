// What every store of states checks.
#pragma once

#include <cstddef>
#include <string_view>

#include "sluice/codec/state_store.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec::detail {

/// Throws errc::bad_name (of sluice).
void check_state_key(std::string_view key);

/// Throws errc::too_large.
void check_state_size(std::string_view key, std::size_t bytes, std::size_t most);

/// Throws VersionConflict unless both are the same.
void check_version(std::string_view key, StateVersion expected, StateVersion actual);

}  // namespace sluice::codec::detail

#pragma GCC visibility pop

// The names that users give to channels, checkpoints and the like: fit for a file's name on every machine.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::base {

inline constexpr std::size_t kMaxNameBytes = 64;

/// Throws errc::bad_name unless `name` has 1 to 64 bytes of A-Z a-z 0-9 . _ - and doesn't begin with a dot.
/// `what` says in the message what is named, `hint` how else such a name could be given.
void check_name(const std::string& what, std::string_view name, const std::string& hint = {});

}  // namespace sluice::base

#pragma GCC visibility pop

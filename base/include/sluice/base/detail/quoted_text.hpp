// Text of unknown origin, made fit for an error message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace sluice::base {

/// `text` in double quotes; quotes, backslashes and every byte that isn't printable ASCII are escaped (\xNN),
/// and after `max_bytes` bytes of it comes "..." with the full length. Safe to print on a terminal.
std::string quoted_text(std::string_view text, std::size_t max_bytes = 128);

}  // namespace sluice::base

#pragma GCC visibility pop

// Text of unknown origin, made fit for an error message, a log or a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace sluice::base {

/// `text` without anything that a terminal obeys or a reader can't see: each byte of a control character
/// (line ends, too), of what isn't UTF-8, and of a character that is invisible or turns the direction of
/// writing is escaped as \\xNN. After `max_bytes` bytes of it comes "..." with the full length. What is
/// printable already stays as it is, so that a text may pass through here twice.
std::string printable(std::string_view text, std::size_t max_bytes = 1024);

/// The same in double quotes; quotes and backslashes are escaped, too.
std::string quoted_text(std::string_view text, std::size_t max_bytes = 128);

/// Whether all of it is UTF-8.
bool is_utf8(std::string_view text) noexcept;

}  // namespace sluice::base

#pragma GCC visibility pop

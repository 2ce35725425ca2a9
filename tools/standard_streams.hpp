// Standard input, output and error: what is said there, and what happens where one of them is closed.
#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace sluice::tools {

/// At the start of main(): the numbers of those that are closed are taken, so that no file that is opened
/// later gets one and what is said is written into it. Using one is an error still.
void take_closed_standard_streams();

/// At the end of main(): throws unless all that was printed on standard output has been written.
void flush_standard_output();

/// Writes to standard error, in one piece. A failure is ignored: there is nobody left to tell, and the work
/// goes on.
void write_to_standard_error(std::string_view text) noexcept;

/// Prints on standard error; everything that goes there goes through here.
template <class... Values>
void say(fmt::format_string<Values...> format, Values&&... values) noexcept {
  try {
    write_to_standard_error(fmt::format(format, std::forward<Values>(values)...));
  } catch (...) {  // no memory for it
  }
}

}  // namespace sluice::tools

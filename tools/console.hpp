// What the command says on standard error, and what happens if a standard stream is closed.
#pragma once

#include <string_view>

namespace sluice::tools {

/// -q, neither, -v. Set once, while the command line is read.
enum class Verbosity { quiet, usual, verbose };
void set_verbosity(Verbosity verbosity) noexcept;
Verbosity verbosity() noexcept;

/// Whether standard error is a terminal.
bool has_terminal() noexcept;

/// Every line begins with "sluice: " and stays one line that a terminal doesn't obey: what isn't printable is
/// escaped. On a terminal it takes the place of a progress line that stands there. From any thread; a failure
/// to write is ignored, since there is nobody left to tell.
void complain(std::string_view text) noexcept;  ///< errors and warnings
void note(std::string_view text) noexcept;      ///< unless -q
void announce(std::string_view text) noexcept;  ///< on a terminal unless -q; elsewhere with -v only

/// Writes `text` to standard error as it is, in one piece.
void write_to_standard_error(std::string_view text) noexcept;

/// At the start of main(): the numbers of closed streams are taken, so that no file that is opened later gets
/// one and is written into. To use such a stream is still an error.
void take_closed_standard_streams();

/// At the end of main(): throws unless all that was printed on standard output has been written.
void flush_standard_output();

}  // namespace sluice::tools

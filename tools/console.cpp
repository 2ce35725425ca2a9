#include "console.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"

namespace sluice::tools {
namespace {

/// Enough for a sentence with two paths in it.
constexpr std::size_t kMostLineBytes = 16384;

Verbosity chosen = Verbosity::usual;

void take_if_closed(int fd, int flags) {
  if (::fcntl(fd, F_GETFD) >= 0) return;
  // The lowest free number: those before it are taken.
  if (::open("/dev/null", flags) != fd) throw_errno("opening /dev/null for a closed standard stream");
}

}  // namespace

void set_verbosity(Verbosity verbosity) noexcept {
  chosen = verbosity;
}

Verbosity verbosity() noexcept {
  return chosen;
}

bool has_terminal() noexcept {
  return ::isatty(STDERR_FILENO) == 1;
}

void complain(std::string_view text) noexcept {
  try {
    const char* const clear_line = has_terminal() ? "\r\x1b[K" : "";
    write_to_standard_error(fmt::format("{}sluice: {}\n", clear_line, base::printable(text, kMostLineBytes)));
  } catch (...) {  // no memory for it
  }
}

void note(std::string_view text) noexcept {
  if (chosen != Verbosity::quiet) complain(text);
}

void announce(std::string_view text) noexcept {
  if (chosen == Verbosity::verbose || (chosen == Verbosity::usual && has_terminal())) complain(text);
}

void write_to_standard_error(std::string_view text) noexcept {
  // It isn't buffered.
  [[maybe_unused]] const std::size_t written = std::fwrite(text.data(), 1, text.size(), stderr);
}

void take_closed_standard_streams() {
  // The wrong way round: reading the input and writing the output still say EBADF.
  take_if_closed(STDIN_FILENO, O_WRONLY);
  take_if_closed(STDOUT_FILENO, O_RDONLY);
  take_if_closed(STDERR_FILENO, O_RDONLY);
}

void flush_standard_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) throw_errno("writing to standard output");
}

}  // namespace sluice::tools

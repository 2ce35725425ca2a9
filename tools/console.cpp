#include "console.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

#include "sluice/base/error.hpp"

namespace sluice::tools {
namespace {

Verbosity chosen = Verbosity::usual;

/// C0 controls, DEL and, in UTF-8, C1 controls: what a terminal may obey.
std::string without_controls(std::string_view text) {
  std::string safe;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c1 = i > 0 && static_cast<unsigned char>(text[i - 1]) == 0xc2 && byte >= 0x80 && byte < 0xa0;
    if (byte < 0x20 || byte == 0x7f || c1) {
      safe += fmt::format("\\x{:02x}", byte);
    } else {
      safe += text[i];
    }
  }
  return safe;
}

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
    write_to_standard_error(fmt::format("{}sluice: {}\n", clear_line, without_controls(text)));
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

#include "standard_streams.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "sluice/base/error.hpp"

namespace sluice::tools {
namespace {

void take_if_closed(int fd, int flags) {
  if (::fcntl(fd, F_GETFD) >= 0) return;
  // The lowest free number: those before it are taken.
  if (::open("/dev/null", flags) != fd) throw_errno("opening /dev/null for a closed standard stream");
}

}  // namespace

void take_closed_standard_streams() {
  // The wrong way round: reading the input and writing the output still say EBADF.
  take_if_closed(STDIN_FILENO, O_WRONLY);
  take_if_closed(STDOUT_FILENO, O_RDONLY);
  take_if_closed(STDERR_FILENO, O_RDONLY);
}

void flush_standard_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) throw_errno("writing to standard output");
}

void write_to_standard_error(std::string_view text) noexcept {
  // It isn't buffered.
  [[maybe_unused]] const std::size_t written = std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace sluice::tools

#include "sluice/ipc/stream/block_source.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>

#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/ipc/stream/stream_error.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;

/// How soon a stop request is noticed by a wait that can't be woken for it.
constexpr auto kStopPoll = 50ms;

void wait_for_input(int fd, const std::stop_token& stop) {
  if (!stop.stop_possible()) return;
  while (!stop.stop_requested()) {
    if (base::wait_for_events(fd, POLLIN, deadline_in(kStopPoll))) return;
  }
  throw StreamError(stream_errc::cancelled,
                    "port stream: stopped while reading descriptor " + std::to_string(fd));
}

}  // namespace

BlockSource read_blocks(int fd, std::size_t read_bytes, std::stop_token stop) {
  // Shared, since std::function copies.
  auto buffer = std::make_shared<std::vector<std::byte>>(read_bytes);
  return [fd, buffer, stop = std::move(stop)]() -> std::optional<std::span<const std::byte>> {
    for (;;) {
      wait_for_input(fd, stop);
      const ssize_t got = ::read(fd, buffer->data(), buffer->size());
      if (got > 0) return std::span<const std::byte>(buffer->data(), static_cast<std::size_t>(got));
      if (got == 0) return std::nullopt;
      if (errno == EAGAIN) {
        (void)base::wait_for_events(fd, POLLIN, kNoDeadline);
      } else if (errno != EINTR) {
        throw_errno("read descriptor " + std::to_string(fd));
      }
    }
  };
}

BlockSource read_blocks(std::istream& input, std::size_t read_bytes) {
  auto buffer = std::make_shared<std::vector<char>>(read_bytes);
  return [&input, buffer]() -> std::optional<std::span<const std::byte>> {
    input.read(buffer->data(), static_cast<std::streamsize>(buffer->size()));
    if (input.bad()) throw std::ios_base::failure("read from an istream");
    const auto got = static_cast<std::size_t>(input.gcount());
    if (got == 0) return std::nullopt;
    return std::as_bytes(std::span(*buffer).first(got));
  };
}

}  // namespace sluice

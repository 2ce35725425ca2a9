#include "sluice/ipc/stream/block_source.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "sluice/base/detail/wait_for_events.hpp"

namespace sluice {

BlockSource read_blocks(int fd, std::size_t read_bytes) {
  // Shared, since std::function copies.
  auto buffer = std::make_shared<std::vector<std::byte>>(read_bytes);
  return [fd, buffer]() -> std::optional<std::span<const std::byte>> {
    for (;;) {
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

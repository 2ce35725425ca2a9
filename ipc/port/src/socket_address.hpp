// The address of a Unix socket, built from a path of checked length.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <filesystem>

namespace sluice::ipc {

/// The longest path that fits sockaddr_un with its terminating zero.
inline constexpr std::size_t kMaxSocketPathBytes = sizeof(sockaddr_un::sun_path) - 1;

/// A filled-in sockaddr_un, ready for bind() and connect().
class SocketAddress {
 public:
  /// Throws errc::bad_name if the path is empty, contains a zero byte or is longer than kMaxSocketPathBytes.
  explicit SocketAddress(const std::filesystem::path& path);

  const sockaddr* get() const noexcept;
  socklen_t size_bytes() const noexcept { return sizeof(address_); }

 private:
  sockaddr_un address_{};
};

}  // namespace sluice::ipc

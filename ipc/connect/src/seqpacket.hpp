// Unix SOCK_SEQPACKET sockets, close-on-exec and non-blocking: their addresses, finding a listener, and
// packets with descriptors over a connection.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/deadline.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/peer_socket.hpp"
#include "sluice/ipc/connect/connect_error.hpp"
#include "sluice/ipc/port/port.hpp"

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

/// A new socket. Nobody can send it descriptors before that is asked for, if the kernel has it so.
base::PeerSocket make_socket();

/// Tries once: 0, or the errno.
int connect_once(int socket, const SocketAddress& address) noexcept;

/// Whether the process that made the other end of a connected socket has ended. A child that it forked may
/// still hold the socket, so that nothing else shows it. False if the kernel can't tell (before 6.5).
bool is_held_for_a_dead_process(int socket) noexcept;

/// Connects to the listener at `path`, waiting until `deadline` for a living one to appear and to have room
/// for us. The socket file and the listening process must belong to `expected_owner`. Throws errc::timed_out
/// with the path, the time waited and `hint`; at once connect_errc::refused if we may not connect or the
/// owner is another, errc::bad_name if the path is no socket of ours.
base::PeerSocket connect_until(const std::filesystem::path& path, uid_t expected_owner, Deadline deadline,
                               std::string_view hint = {});

/// Who made the other end of a connection (SO_PEERCRED): the process that called connect(), or listen().
PeerIdentity peer_identity(int socket);

inline constexpr std::size_t kMaxPacketBytes = 4096;
inline constexpr std::size_t kMaxPacketDescriptors = 8;

/// One received packet; its descriptors are close-on-exec and belong to whoever holds it. They can be of any
/// kind: those that nobody takes out are closed aside.
struct Packet {
  Packet() = default;
  Packet(Packet&&) = default;
  Packet& operator=(Packet&&) = delete;
  ~Packet() { base::close_aside(std::move(descriptors)); }

  std::vector<std::byte> bytes;
  std::vector<Descriptor> descriptors;
};

/// Sends one packet of 1 to 4096 bytes with at most 8 descriptors, which stay the caller's. Throws
/// errc::misuse beyond these limits, errc::timed_out, connect_errc::peer_gone.
void send_packet(int socket, std::span<const std::byte> packet, std::span<const int> descriptors,
                 Deadline deadline);

/// The next packet; nothing if none has come yet. Throws connect_errc::peer_gone when the peer has closed and
/// everything it sent before has been received (an empty packet counts as that); connect_errc::protocol for a
/// packet with too many bytes or descriptors, none of which is kept; a system error if this process has no
/// room for the descriptors.
std::optional<Packet> try_receive_packet(int socket);

}  // namespace sluice::ipc

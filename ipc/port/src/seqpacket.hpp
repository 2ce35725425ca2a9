// One end of a rendezvous connection: packets and descriptors over a Unix SOCK_SEQPACKET socket.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/ipc/port/connect_error.hpp"

namespace sluice::ipc {

inline constexpr std::size_t kMaxPacketBytes = 4096;
inline constexpr std::size_t kMaxPacketDescriptors = 8;

/// Who made the other end, as the kernel knows it: the process that called connect(), or listen().
struct Credentials {
  pid_t pid;
  uid_t uid;
  gid_t gid;
};

/// One received packet; its descriptors are close-on-exec and belong to whoever holds it.
struct Packet {
  std::vector<std::byte> bytes;
  std::vector<Descriptor> descriptors;
};

/// A connected socket. One thread at a time, except shut_down(), which any thread may call while another
/// waits.
class PacketSocket {
 public:
  /// Takes a connected SOCK_SEQPACKET socket that is non-blocking and close-on-exec.
  explicit PacketSocket(Descriptor socket) noexcept : socket_(std::move(socket)) {}

  int fd() const noexcept { return socket_.get(); }

  /// Who is at the other end (SO_PEERCRED).
  Credentials peer_credentials() const;

  /// Sends one packet of 1 to 4096 bytes with at most 8 descriptors (which stay the caller's).
  /// Throws errc::misuse beyond these limits, errc::timed_out, connect_errc::peer_gone.
  void send(std::span<const std::byte> packet, std::span<const int> descriptors, Deadline deadline);

  /// Waits for one packet. Throws errc::timed_out; connect_errc::peer_gone when the peer has closed and
  /// everything it sent before has been received (an empty packet counts as that); connect_errc::protocol
  /// for a packet with too many bytes or descriptors, none of which is kept; a system error if this process
  /// has no room for the descriptors.
  Packet receive(Deadline deadline);

  /// The same without waiting; nothing if no packet has come yet.
  std::optional<Packet> try_receive();

  /// Ends the connection for both sides, whoever else holds the socket: waiting calls return, the peer sees a
  /// hang-up.
  void shut_down() noexcept;

 private:
  Descriptor socket_;
};

/// Whether the process that made the other end (see Credentials) has ended. A child that it forked may still
/// hold the socket, so that nothing else shows it. False where the kernel can't tell (before 6.5).
bool is_held_for_a_dead_process(int socket) noexcept;

/// Connects to the listener at `path`, waiting until `deadline` for a living one to appear and to have room
/// for us. The socket file and the listening process must belong to `expected_owner`. Throws errc::timed_out
/// with the path and the time waited; at once connect_errc::refused if we may not connect or the owner is
/// another, errc::bad_name if the path is no socket of ours.
PacketSocket connect_until(const std::filesystem::path& path, uid_t expected_owner, Deadline deadline);

}  // namespace sluice::ipc

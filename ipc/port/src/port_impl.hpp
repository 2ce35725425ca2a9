// Everything a port is besides its hot path: regions, socket, death notice, delivery.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "delivery.hpp"
#include "peer_watcher.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/peer_socket.hpp"
#include "sluice/ipc/port/detail/port_core.hpp"
#include "sluice/ipc/port/port.hpp"
#include "sluice/ipc/port/port_options.hpp"
#include "sluice/ring/history.hpp"
#include "sluice/ring/region.hpp"

namespace sluice::ipc {

/// What a port works on.
struct Connection {
  ring::OwnedRegion own;
  std::shared_ptr<const ring::PeerRegion> peer;
  base::PeerSocket socket;  ///< connected to the peer: it hangs up when either side ends
  Descriptor peer_pidfd;    ///< empty if the peer's kernel has none
  PeerIdentity identity;
};

/// Life cycle: watch() right after construction; close() by either side or the peer's end; destruction.
class PortImpl : public PortCore, public DeliverySource, public std::enable_shared_from_this<PortImpl> {
 public:
  PortImpl(Connection connection, const PortOptions& options);
  PortImpl(Connection&& connection, const PortOptions& options, const ring::ConsumerStart& start);
  virtual ~PortImpl();
  PortImpl(const PortImpl&) = delete;
  PortImpl& operator=(const PortImpl&) = delete;

  /// Starts noticing the peer's end.
  void watch();
  int socket() const noexcept { return connection_.socket.get(); }
  static Port make_port(std::shared_ptr<PortImpl> impl) noexcept { return Port(std::move(impl)); }

  /// Throws errc::misuse in a forked child, under a strategy that never waits, and while messages are
  /// received by calls.
  void check_may_deliver(const char* call) const;
  Status wait_closed(Deadline deadline);
  void close() noexcept override;
  bool is_open() const noexcept { return producer_.gate().final_reason() == Status::ok; }
  using PortCore::inherited;
  /// Throws errc::misuse in a forked child: locks and threads are the parent's.
  void check_not_inherited(const char* call) const;

  Delivery& delivery() noexcept { return delivery_; }
  virtual ring::HistoryReader history() const noexcept;
  ring::HistoryReader sent_history() const noexcept;
  virtual PeerIdentity peer() const noexcept;
  /// Of a session that can be resumed; nothing for other ports.
  virtual std::optional<SessionInfo> session() const noexcept { return std::nullopt; }
  /// Called once the port was closed, by its owner's destructor: threads of the port end here.
  virtual void finish() noexcept;
  PortStatistics statistics() const noexcept;

  // What delivery asks for.
  Status wait_for_message() noexcept override;
  Status deliver_messages(Delivery& delivery) override;
  ReadResult next_message() noexcept {
    ReadResult message = read(nullptr);
    // The next message of a conversation comes soon: polling for it here saves the way out of the handler's
    // slot and in again. Not on somebody else's thread.
    if (message.status == Status::would_block && polls_for_next_ && consumer_.poll_for_record())
      message = read(nullptr);
    return message;
  }
  using PortCore::release;
  std::string failure_text() const override;
  void note_failure(std::string text) noexcept override;

 protected:
  Status note_broken(const ring::RingFailure& failure) noexcept override;
  /// Why the port ended: no later text takes the place of the first one.
  void note_end(std::string text) noexcept;
  void end_waits(Status reason) noexcept;
  /// Ends this side as a death would: the peer isn't told that it was closed.
  void abandon() noexcept;
  /// From here on close() doesn't tell the peer that it was closed, either.
  void leave_open() noexcept { left_open_.store(true, std::memory_order_relaxed); }
  /// Ends the connection for both sides. Any thread.
  virtual void hang_up() noexcept;

  Connection connection_;

 private:
  void note_refused(Status status, std::uint64_t bytes) noexcept override;
  void forget_last_claim() noexcept override;
  bool receives_here() const noexcept override;
  void peer_is_gone() noexcept;

  std::uint64_t ring_bytes_;
  WaitStrategy strategy_;
  bool polls_for_next_;
  std::atomic<bool> left_open_{false};        // publishes nothing
  std::shared_ptr<PortImpl> kept_for_claim_;  // this, if the port went before its claim
  mutable std::mutex failure_mutex_;
  std::string failure_text_;  // under failure_mutex_, like the next
  bool end_noted_ = false;
  Delivery delivery_;
  Watch watch_;  // last: ends first, and with it the last caller from another thread
};

/// A port whose peer is watched.
Port make_port(Connection connection, const PortOptions& options);

}  // namespace sluice::ipc

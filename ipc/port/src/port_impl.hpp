// Everything a port is besides its hot path: regions, socket, death notice, delivery.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "delivery.hpp"
#include "peer_watcher.hpp"
#include "seqpacket.hpp"
#include "sluice/ipc/port/detail/port_core.hpp"
#include "sluice/ipc/port/port.hpp"
#include "sluice/ipc/port/port_options.hpp"
#include "sluice/ring/history.hpp"
#include "sluice/ring/region.hpp"

namespace sluice::ipc {

/// What a finished handshake leaves behind.
struct Connection {
  ring::OwnedRegion own;
  std::shared_ptr<const ring::PeerRegion> peer;
  PacketSocket socket;
  Descriptor peer_pidfd;  ///< empty where the peer's kernel has none
  Credentials credentials;
};

/// Life cycle: watch() right after construction; close() by either side or the peer's end; destruction.
class PortImpl : public PortCore, public DeliverySource, public std::enable_shared_from_this<PortImpl> {
 public:
  PortImpl(Connection connection, const PortOptions& options);
  PortImpl(Connection&& connection, const PortOptions& options, const ring::ConsumerStart& start);
  ~PortImpl() override;
  PortImpl(const PortImpl&) = delete;
  PortImpl& operator=(const PortImpl&) = delete;

  /// Starts noticing the peer's end.
  void watch();

  void start();
  void close() noexcept;
  bool is_open() const noexcept { return producer_.gate().final_reason() == Status::ok; }
  using PortCore::inherited;
  /// Throws errc::misuse in a forked child: locks and threads are the parent's.
  void check_not_inherited(const char* call) const;

  Delivery& delivery() noexcept { return delivery_; }
  virtual ring::HistoryReader history() const noexcept;
  virtual PeerIdentity peer() const noexcept;
  /// Of a session that can be resumed; nothing for other ports.
  virtual std::optional<SessionInfo> session() const noexcept { return std::nullopt; }
  /// Called once the port was closed, by its owner's destructor: threads of the port end here.
  virtual void finish() noexcept { delivery_.finish(); }
  PortStatistics statistics() const noexcept;

  Status wait_for_message() noexcept override;
  Status drain(HandlerSlot<MessageHandler>& handler) override;
  std::string failure_text() const override;

 protected:
  void set_failure_text(std::string text) noexcept;
  void end_waits(Status reason) noexcept;
  /// Ends the connection for both sides. Any thread.
  virtual void hang_up() noexcept;

  Connection connection_;

 private:
  void note_broken(const ring::RingFailure& failure) noexcept override;
  void note_too_large(std::uint64_t bytes) noexcept override;
  void peer_is_gone() noexcept;

  std::uint64_t ring_bytes_;
  WaitStrategy strategy_;
  bool has_executor_;
  mutable std::mutex failure_mutex_;
  std::string failure_text_;  // under failure_mutex_
  Delivery delivery_;
  Watch watch_;  // last: ends first, and with it the last caller from another thread
};

}  // namespace sluice::ipc

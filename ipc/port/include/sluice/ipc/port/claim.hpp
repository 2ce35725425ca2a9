// Room for a message, to write it in place.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "sluice/ipc/port/detail/port_core.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// Writable ring memory for one message, aligned to 8 bytes: fill it, then commit. Nothing is visible before;
/// destroying it gives the room back. A port has one claim at a time: until it is committed, aborted or
/// destroyed, everything else that sends on the port, or claims, is refused with Status::misuse and does
/// nothing. publish() and wait_until_consumed() may be called meanwhile. A claim may outlive its port, and
/// then says closed. Thread-safety: the sending thread.
class [[nodiscard]] Claim {
 public:
  /// No room: `closed`, as after a move.
  Claim() noexcept = default;
  Claim(Claim&& other) noexcept
      : core_(other.core_),
        room_(std::exchange(other.room_, {})),
        status_(std::exchange(other.status_, Status::closed)) {}
  Claim& operator=(Claim&& other) noexcept {
    if (this != &other) {
      abort();
      core_ = other.core_;
      room_ = std::exchange(other.room_, {});
      status_ = std::exchange(other.status_, Status::closed);
    }
    return *this;
  }
  Claim(const Claim&) = delete;  // a copy could be committed a second time
  Claim& operator=(const Claim&) = delete;
  ~Claim() { abort(); }

  /// ok, or why there is no room to write in.
  Status status() const noexcept { return status_; }
  explicit operator bool() const noexcept { return status_ == Status::ok; }
  std::span<std::byte> bytes() const noexcept { return room_; }

  /// Posts the first `count` bytes. Anything but ok posts nothing: too_large, if that is more than was
  /// claimed; closed, peer_died, broken, forked: the port has ended meanwhile. A claim that has no room
  /// answers with status(), which is misuse once it was committed or aborted.
  Status commit(std::size_t count) noexcept {
    const Status status = append(count);
    if (status == Status::ok) core_->publish();
    return status;
  }
  Status commit() noexcept { return commit(room_.size()); }

  /// The same, but visible to the peer only with the next publish(), commit() or post_message().
  Status append(std::size_t count) noexcept {
    if (status_ != Status::ok) return status_;
    const Status status = core_->commit(count);
    if (status == Status::ok) forget();
    return status;
  }

  /// Gives the room back.
  void abort() noexcept {
    if (status_ != Status::ok) return;
    core_->abort_claim();
    forget();
  }

 private:
  friend class Port;
  Claim(ipc::PortCore& core, std::size_t bytes, const Deadline* deadline) noexcept
      : core_(&core), status_(core.claim(bytes, room_, deadline)) {}

  void forget() noexcept {
    status_ = Status::misuse;
    room_ = {};
  }

  ipc::PortCore* core_ = nullptr;
  std::span<std::byte> room_;
  Status status_ = Status::closed;
};

}  // namespace sluice

#pragma GCC visibility pop

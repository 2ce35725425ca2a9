// Room for a message, to write it in place.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "sluice/ipc/port/detail/port_core.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// Writable ring memory for one message, aligned to 8 bytes: fill it, then commit. Nothing is visible before;
/// destroying it gives the room back. Valid until the next call that sends on the same port; the port must
/// outlive it. Thread-safety: the sending thread.
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
      core_ = other.core_;
      room_ = std::exchange(other.room_, {});
      status_ = std::exchange(other.status_, Status::closed);
    }
    return *this;
  }
  Claim(const Claim&) = delete;  // a copy could be committed a second time
  Claim& operator=(const Claim&) = delete;
  ~Claim() = default;

  /// ok, or why there is no room to write in.
  Status status() const noexcept { return status_; }
  explicit operator bool() const noexcept { return status_ == Status::ok; }
  std::span<std::byte> bytes() const noexcept { return room_; }

  /// Posts the first `count` bytes; too_large, and nothing is posted, if that is more than was claimed. A
  /// claim that has no room (see status()) answers with its status. Once only.
  Status commit(std::size_t count) noexcept {
    const Status status = append(count);
    if (status == Status::ok) core_->publish();
    return status;
  }
  Status commit() noexcept { return commit(room_.size()); }

  /// The same, but visible to the peer only with the next publish(), commit() or post_message().
  Status append(std::size_t count) noexcept {
    if (status_ != Status::ok) return status_;
    if (count > room_.size()) return Status::too_large;
    const Status status = core_->commit(count);
    abort();
    return status;
  }

  /// Gives the room back.
  void abort() noexcept {
    status_ = Status::would_block;
    room_ = {};
  }

 private:
  friend class Port;
  Claim(ipc::PortCore& core, std::size_t bytes, const Deadline* deadline) noexcept
      : core_(&core), status_(core.claim(bytes, room_, deadline)) {}

  ipc::PortCore* core_ = nullptr;
  std::span<std::byte> room_;
  Status status_ = Status::closed;
};

}  // namespace sluice

#pragma GCC visibility pop

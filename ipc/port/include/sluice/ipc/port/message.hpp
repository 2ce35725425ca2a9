// A received message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "sluice/ipc/port/detail/port_core.hpp"
#include "sluice/ipc/port/message_content.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// A message that was received by a call, or the reason why there is none. Its bytes are valid until this
/// object is destroyed or release()d, and until the next receive on the same port; the port must outlive it.
///
/// A Port's message lies in the peer's memory, aligned to 8 bytes, and keeps its room there until it is
/// released. In a session, one that is destroyed while an exception passes stays unreleased until the next
/// receive: if the exception ends the process, the next one gets the message again. The peer can still change
/// the bytes: copy them first if it isn't trusted. In a session with replace_living_peer a process that stood
/// still may have been replaced when it goes on: ask intact() behind the copy, before that has an effect.
/// Thread-safety: the receiving thread.
class [[nodiscard]] Message {
 public:
  /// None: `closed`, as after a move.
  Message() noexcept = default;
  Message(Message&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)),
        record_(std::exchange(other.record_, {})),
        status_(std::exchange(other.status_, Status::closed)) {}
  Message& operator=(Message&& other) noexcept {
    if (this != &other) {
      release();
      core_ = std::exchange(other.core_, nullptr);
      record_ = std::exchange(other.record_, {});
      status_ = std::exchange(other.status_, Status::closed);
    }
    return *this;
  }
  Message(const Message&) = delete;  // a copy would release the message under the other
  Message& operator=(const Message&) = delete;
  // Always inlined, also where an exception passes: a call would keep every message in memory for its sake.
  [[gnu::always_inline]] ~Message() {
    if (core_ != nullptr) core_->drop(record_.sequence);
  }

  /// ok, or why there is no message.
  Status status() const noexcept { return status_; }
  explicit operator bool() const noexcept { return status_ == Status::ok; }

  std::span<const std::byte> bytes() const noexcept { return record_.payload; }
  /// The bytes as text.
  std::string_view text() const noexcept { return text_of(record_.payload); }
  /// A copy of the value that was posted (see post()); nothing if the message has another size, or there is
  /// none.
  template <MessageValue T>
  std::optional<T> as() const noexcept {
    return status_ == Status::ok ? value_of<T>(record_.payload) : std::nullopt;
  }

  /// Counts the messages of this direction from 1; 0 if the port doesn't count.
  std::uint64_t sequence() const noexcept { return record_.sequence; }
  /// Whether this message was received before and comes again after replay_from(), or, in a resumed session,
  /// may have been received by the process before.
  bool replayed() const noexcept { return core_ != nullptr && core_->replayed(record_.sequence); }

  /// Whether the bytes, and copies of them that were made before, are what was posted. False only in a
  /// session whose process was replaced (Status::superseded) while it held the message: its successor has
  /// released it, and the peer has begun to overwrite it.
  bool intact() const noexcept { return core_ == nullptr || core_->intact(record_); }

  /// The peer may overwrite the bytes from now on.
  [[gnu::always_inline]] void release() noexcept {
    if (auto* core = std::exchange(core_, nullptr)) core->release(record_.sequence);
  }

  // For ports of your own (see PullPort).

  /// A message that the port itself keeps until its next receive.
  static Message kept_by_port(std::span<const std::byte> bytes) noexcept { return {Status::ok, bytes}; }
  /// No message, for this reason: anything but ok.
  static Message none(Status why) noexcept { return {why, {}}; }

 private:
  friend class Port;
  Message(ipc::PortCore& core, const ipc::ReadResult& read) noexcept
      : core_(read.status == Status::ok ? &core : nullptr), record_(read.record), status_(read.status) {}
  Message(Status status, std::span<const std::byte> bytes) noexcept : record_{bytes, 0}, status_(status) {}

  ipc::PortCore* core_ = nullptr;
  ring::Record record_{};
  Status status_ = Status::closed;
};

}  // namespace sluice

#pragma GCC visibility pop

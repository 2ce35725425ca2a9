#include "sluice/ipc/port/detail/port_core.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace sluice::ipc {

namespace {

constexpr const char* kOneSender = "two threads send on one port at the same time";
constexpr const char* kOneReceiver = "two threads receive on one port at the same time";

}  // namespace

// Relaxed: two threads that come at the very same time may miss each other, which costs only the message.
OnlyWaiter::OnlyWaiter(std::atomic<bool>& waits, const char* rule) noexcept : waits_(waits) {
  if (waits.load(std::memory_order_relaxed)) {
    std::fprintf(stderr, "sluice: %s\n", rule);
    std::abort();
  }
  waits.store(true, std::memory_order_relaxed);
}

void PortCore::drop_in_session(ring::Sequence sequence) noexcept {
  if (std::uncaught_exceptions() == 0) release(sequence);
}

void PortCore::release_unreleased() noexcept {
  release_all();
}

Status PortCore::claim_slowly(Status status, std::size_t bytes, std::span<std::byte>& room,
                              const Deadline* deadline) noexcept {
  while (status == Status::interrupted || (status == Status::would_block && deadline != nullptr)) {
    if (status == Status::interrupted) {
      status = claim_after_interruption(bytes, room, deadline);
    } else {
      const OnlyWaiter waiting(sender_waits_, kOneSender);
      status = producer_.wait_for_room(bytes, *deadline);
      if (status == Status::would_block) break;  // the strategy doesn't wait
      if (status == Status::ok) status = producer_.try_claim(bytes, room);
    }
  }
  if (status == Status::broken) status = note_broken(producer_.failure());
  if (status == Status::too_large || status == Status::misuse) note_refused(status, bytes);
  return status;
}

/// Posting goes on while the peer is being replaced, as long as no word of the peer is needed for it.
Status PortCore::claim_after_interruption(std::size_t bytes, std::span<std::byte>& room,
                                          const Deadline* deadline) noexcept {
  follow_peer_sending();
  if (const Status ended = producer_.gate().final_reason(); ended != Status::ok) return ended;
  const Status status = producer_.try_claim(bytes, room);
  if (status != Status::interrupted) return status;
  if (deadline == nullptr) return Status::would_block;
  const Status waited = wait_for_peer(*deadline);
  return waited == Status::ok ? Status::interrupted : waited;
}

Status PortCore::append_slowly(Status status, std::span<const std::byte> head,
                               std::span<const std::byte> body, const Deadline* deadline) noexcept {
  const std::size_t bytes = head.size() + body.size();
  std::span<std::byte> room;
  status = claim_slowly(status, bytes, room, deadline);
  if (status != Status::ok) return status;
  ring::copy_payload(room.data(), head, body);
  status = producer_.commit(bytes);
  if (status != Status::ok) producer_.abort_claim();  // closed meanwhile
  return status;
}

/// After a try_read that ended with `why`, or whose record was put back: ok if it shall be repeated.
Status PortCore::wait_to_read(Status why, const Deadline* deadline) noexcept {
  if (const Status may = may_receive(); may != Status::ok) return may;
  Status status = why;
  if (consumer_.gate().interrupted()) {
    status = receive_from_present_peer(deadline);
  } else if (why == Status::would_block && deadline != nullptr) {
    const OnlyWaiter waiting(receiver_waits_, kOneReceiver);
    status = consumer_.wait_for_record(*deadline);
    if (status == Status::interrupted) status = Status::ok;
  } else if (why == Status::would_block) {
    const Status reason = consumer_.gate().reason();
    // The gate was closed after the peer's last publication: look once more.
    if (reason != Status::ok)
      status = consumer_.record_ready() || reason == Status::interrupted ? Status::ok : reason;
  }
  if (status == Status::broken) status = note_broken(consumer_.failure());
  return status == Status::ok && closed_here_.load(std::memory_order_acquire) ? Status::closed : status;
}

/// While a new peer is being joined, nothing is read; there is nothing without a deadline then.
Status PortCore::receive_from_present_peer(const Deadline* deadline) noexcept {
  follow_peer_receiving();
  if (!consumer_.gate().interrupted()) return Status::ok;
  if (const Status ended = consumer_.gate().final_reason(); ended != Status::ok) return ended;
  return deadline != nullptr ? wait_for_peer(*deadline) : Status::would_block;
}

Status PortCore::replay_from(ring::Sequence sequence) noexcept {
  const Status may = may_receive();
  if (may != Status::ok) return may;
  if (!receives_here()) return Status::misuse;
  consumer_.release();
  Status status = consumer_.rewind(sequence);
  if (status == Status::broken) status = note_broken(consumer_.failure());
  return status;
}

Status PortCore::wait_until_consumed(Deadline deadline) noexcept {
  if (inherited()) return Status::forked;
  if (never_connected_) return Status::closed;
  const OnlyWaiter waiting(sender_waits_, kOneSender);
  // Even if the port has ended: everything may have been consumed before.
  Status status = producer_.wait_until_consumed(deadline);
  while (status == Status::interrupted) {
    follow_peer_sending();
    if (producer_.gate().interrupted()) {
      status = wait_for_peer(deadline);
      follow_peer_sending();  // the new peer may have consumed everything and closed by now
      if (producer_.gate().interrupted()) break;
    }
    status = producer_.wait_until_consumed(deadline);
  }
  if (status == Status::broken) status = note_broken(producer_.failure());
  return status;
}

}  // namespace sluice::ipc

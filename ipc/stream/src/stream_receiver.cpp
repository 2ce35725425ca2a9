#include "stream_receiver.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace sluice::ipc {

void StreamReceiver::begin() {
  reader_.check_process();
  Lock lock(reader_.mutex(), Party::receiver);
  reader_.enter(lock);
  receiving_ = true;
  over_ = false;
  blocks_.store(0, std::memory_order_relaxed);
  bytes_.store(0, std::memory_order_relaxed);
}

/// The consumer came back: the block that it had is handled. The ring's room goes first, so that a sender who
/// waits for it can go on and read the ACK: reading the next message gives it back.
inline void StreamReceiver::finish_block(Lock& lock, const std::stop_token& stop) {
  Arrivals& arrivals = reader_.arrivals();
  const std::uint64_t bytes = arrivals.in_hand_bytes();
  const bool due = arrivals.finish_hand();
  if (arrivals.queue_empty() && reader_.may_read(Party::receiver)) reader_.poll();
  if (due) {
    answer(lock, *arrivals.take_answer(), stop);
  } else if (!arrivals.block_waits()) {
    answer_block(lock, bytes, stop);
  }
}

bool StreamReceiver::next_block(std::span<const std::byte>& block, const std::stop_token& stop) {
  if (reader_.closing() || stop.stop_requested()) [[unlikely]]
    stopped();
  Lock lock(reader_.mutex(), Party::receiver);
  if (reader_.arrivals().in_hand()) finish_block(lock, stop);
  if (!reader_.arrivals().something_waits()) wait_for_item(lock, stop);
  const Arrivals::Kind kind = reader_.next(block);
  if (kind != Arrivals::Kind::block) [[unlikely]]
    return end_of_stream(lock, kind, block);
  blocks_.store(blocks_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  bytes_.store(bytes_.load(std::memory_order_relaxed) + block.size(), std::memory_order_relaxed);
  return true;
}

void StreamReceiver::stopped() {
  reader_.check_process();
  Lock lock(reader_.mutex(), Party::receiver);
  fail_wait(lock, Wake::cancelled);
}

/// False, or throws what ended the stream.
bool StreamReceiver::end_of_stream(Lock& lock, Arrivals::Kind kind, std::span<const std::byte> why) {
  over_ = true;
  if (kind == Arrivals::Kind::end) return false;
  const std::string text{text_of(why)};
  if (kind == Arrivals::Kind::error) {
    throw_failure({stream_errc::sender_failed, "the sender reported: " + text, text}, received_so_far());
  }
  linger(lock, deadline_in(reader_.options().linger));
  throw_failure({stream_errc::protocol, text}, received_so_far());
}

/// Returns when there is a block or the stream's end; throws if neither comes.
void StreamReceiver::wait_for_item(Lock& lock, const std::stop_token& stop) {
  const auto timeout = reader_.options().idle_timeout;
  std::optional<Deadline> idle_deadline;
  const auto until = [&] {
    if (timeout == std::chrono::nanoseconds::max()) return kNoDeadline;
    if (!idle_deadline) idle_deadline = deadline_in(timeout);
    return *idle_deadline;
  };
  const auto ready = [this] { return reader_.arrivals().something_waits() || reader_.ended(); };
  const Wake wake = reader_.wait(lock, ready, until, stop);
  if (wake != Wake::ready || !reader_.arrivals().something_waits()) fail_wait(lock, wake);
}

void StreamReceiver::fail_wait(Lock& lock, Wake wake) {
  const std::string so_far = received_so_far();
  if (wake == Wake::ready) {
    over_ = true;
    throw_failure(reader_.port_failure(), so_far);
  }
  if (wake == Wake::cancelled) {
    refuse_stream(lock, true, "receiver was stopped");
    throw_failure({stream_errc::cancelled, "stopped here"}, so_far);
  }
  refuse_stream(lock, true, "receiver timed out");
  const auto seconds = std::chrono::duration<double>(reader_.options().idle_timeout).count();
  throw_failure({stream_errc::timed_out, "nothing came for " + std::to_string(seconds) + " s"}, so_far);
}

/// No further block is there. While the peer may send more and does, an ACK waits until it is due: to answer
/// each block would cost a fast sender more than the block.
void StreamReceiver::answer_block(Lock& lock, std::uint64_t bytes, const std::stop_token& stop) {
  Arrivals& arrivals = reader_.arrivals();
  if (reader_.may_read(Party::receiver) && !arrivals.something_waits() && arrivals.peer_may_send(bytes) &&
      reader_.poll_again() && arrivals.block_waits()) {
    return;
  }
  if (const auto id = arrivals.take_answer()) answer(lock, *id, stop);
}

/// A peer that reads no answers holds us up no longer than one that sends nothing.
void StreamReceiver::answer(Lock& lock, BlockId id, const std::stop_token& stop) {
  const FrameHead head = FrameHead::handled(id, reader_.arrivals().grant());
  lock.unlock();
  Status status = reader_.try_post(lock.party(), head, {});
  if (StreamReader::is_full(status)) [[unlikely]] {  // the clock is read only now
    const auto& options = reader_.options();
    const Deadline deadline = deadline_in(std::min(options.ack_timeout, options.idle_timeout));
    status = reader_.post_slowly(lock.party(), head, {}, deadline, stop);
  }
  lock.lock();
  if (StreamReader::is_full(status)) [[unlikely]]
    fail_wait(lock, reader_.closing() || stop.stop_requested() ? Wake::cancelled : Wake::timed_out);
}

void StreamReceiver::end(bool block_handled, std::string_view reason) noexcept {
  if (reader_.forked() || !std::exchange(receiving_, false)) return;
  try {
    Lock lock(reader_.mutex(), Party::receiver);
    if (!over_) refuse_stream(lock, block_handled, reason);
  } catch (...) {  // out of memory or a port that throws: the peer's own timeout has to do
  }
  Lock lock(reader_.mutex(), Party::receiver);
  reader_.leave(lock);
}

/// Ends the stream that is being received, or that would be received next, from our side.
void StreamReceiver::refuse_stream(Lock& lock, bool block_handled, std::string_view reason) {
  Arrivals& arrivals = reader_.arrivals();
  over_ = true;
  const Deadline deadline = deadline_in(reader_.options().linger);
  reader_.release_places();
  if (arrivals.in_hand() && block_handled) (void)arrivals.finish_hand();
  if (const auto handled = arrivals.take_answer()) {
    const FrameHead head = FrameHead::handled(*handled, arrivals.grant());
    lock.unlock();
    (void)reader_.post(lock.party(), head, {}, deadline, {});
    lock.lock();
  }
  arrivals.refuse(reason);
  linger(lock, deadline);
}

/// Posts the rejection, and refuses the blocks that are on their way.
void StreamReceiver::linger(Lock& lock, Deadline deadline) {
  const bool closing = reader_.suspend_closing();
  reader_.flush_rejection(lock, deadline, {});
  (void)reader_.wait(
      lock, [this] { return !reader_.arrivals().refusing() || reader_.ended(); }, [&] { return deadline; },
      {});
  reader_.flush_rejection(lock, deadline, {});
  if (closing) reader_.resume_closing();
}

void StreamReceiver::refuse_leftovers() {
  Lock lock(reader_.mutex(), Party::other);
  if (!reader_.arrivals().queue_empty()) {
    refuse_stream(lock, false, kReceiverClosed);
  } else if (reader_.arrivals().rejection_due()) {
    linger(lock, deadline_in(reader_.options().linger));
  }
}

StreamTotals StreamReceiver::totals() const noexcept {
  return {blocks_.load(std::memory_order_relaxed), bytes_.load(std::memory_order_relaxed)};
}

std::string StreamReceiver::received_so_far() const {
  const StreamTotals had = totals();
  return "port stream: receiving ended after " + std::to_string(had.blocks) + " blocks, " +
         std::to_string(had.bytes) + " bytes";
}

}  // namespace sluice::ipc

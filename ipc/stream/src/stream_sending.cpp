// The sending half of StreamCore.
#include <string>
#include <utility>

#include "stream_core.hpp"

namespace sluice::ipc {

using ipc::FrameHead;
using ipc::FrameType;

void StreamCore::on_ack(const ipc::Frame& frame) {
  // Nothing of ours is under way: noise.
  if (!sending_ && send_.all_answered()) return;
  const ipc::Answer answer = ipc::decode_answer(frame.payload);
  switch (send_.on_ack(frame.id, answer)) {
    case ipc::SendState::AckEffect::advanced:
      waiting_since_.reset();
      return;
    case ipc::SendState::AckEffect::stale:
      return;
    case ipc::SendState::AckEffect::rejected: {
      waiting_since_.reset();
      if (send_failure_) return;
      const std::string reason =
          answer.reason_json.empty() ? std::string(kReceiverClosed) : ipc::text_of_peer(answer.reason_json);
      send_failure_ = {stream_errc::rejected, reason, reason};
      return;
    }
    case ipc::SendState::AckEffect::never_sent:
      if (send_failure_) return;
      send_failure_ = {stream_errc::protocol,
                       "the peer acknowledged block " + std::to_string(frame.id) + ", expected one below " +
                           std::to_string(send_.next_id()),
                       {}};
      return;
  }
}

StreamTotals StreamCore::send(const BlockSource& source, const SendOptions& options) {
  {
    Lock lock(*this);
    enter(lock, sending_, "send", options.stop);
    try {
      begin_send(lock, options.stop);
    } catch (...) {
      sending_ = false;
      throw;
    }
  }
  try {
    Rechunker blocks(source, options_.chunk_size);
    while (const auto block = blocks.next()) send_block(*block, options);
    finish_send(options);
  } catch (...) {
    tell_failure(std::current_exception());
    throw;
  }
  const Lock lock(*this);
  sending_ = false;
  changed_.notify_all();
  return {send_.blocks_sent(), send_.bytes_sent()};
}

/// Blocks of a stream that failed may be unanswered still: their numbers mean other blocks from now on.
void StreamCore::begin_send(Lock& lock, const std::stop_token& stop) {
  if (!send_.all_answered()) wait_for_answers(lock, stop);
  if (send_.blocks_sent() != 0) send_.restart();
  send_failure_.reset();
}

/// Before each block: a rejection stops the sender at once. In a dense run of small blocks, where the last
/// look found nothing, at every sixteenth only: to look would cost more than a third of the block.
inline void StreamCore::look_for_answers(std::size_t block_bytes) {
  constexpr std::size_t kSmallBytes = 4096;
  constexpr unsigned kSkippedLooks = 15;
  if (block_bytes <= kSmallBytes && skip_looks_ != 0) {
    --skip_looks_;
    return;
  }
  skip_looks_ = kSkippedLooks;
  while (poll()) skip_looks_ = 0;
}

void StreamCore::send_block(std::span<const std::byte> block, const SendOptions& options) {
  Lock lock(*this);
  if (by_caller_ && change_wanted_) [[unlikely]]
    let_change(lock);
  if (by_caller_) look_for_answers(block.size());
  const auto ready = [&] { return send_.may_send(block.size()) || send_failure_ || ended_ != Status::ok; };
  if (!ready()) [[unlikely]] {
    throw_send_wake(wait(
        lock, ready, [this] { return ack_deadline(); }, options.stop));
  }
  if (closing_ || options.stop.stop_requested()) [[unlikely]]
    throw_send_wake(Wake::cancelled);
  if (send_failure_ || ended_ != Status::ok) [[unlikely]]
    throw_send_failure();
  const FrameHead head(FrameType::data, send_.begin_block(block.size()));
  lock.unlock();
  const Status status = post(head, block, options.stop);
  if (status != Status::ok) [[unlikely]]
    fail_post(status, block.size(), options.stop);
  if (options.on_progress) options.on_progress(send_progress());
}

/// The port didn't take a block. What the peer said before it ended is the better explanation.
void StreamCore::fail_post(Status status, std::size_t bytes, const std::stop_token& stop) {
  Lock lock(*this);
  if (by_caller_) {
    while (poll()) {
    }
  }
  if (send_failure_) throw_send_failure();
  if (closing_ || stop.stop_requested()) throw_send_wake(Wake::cancelled);
  if (status == Status::timed_out) throw_send_wake(Wake::timed_out);
  if (status == Status::too_large) {
    fail({stream_errc::port_failed,
          "a block of " + std::to_string(bytes) +
              " bytes is larger than the port's largest message; "
              "set chunk_size",
          {}},
         sent_so_far());
  }
  if (ended_ == Status::ok) ended_ = status;
  fail(port_failure(), sent_so_far());
}

/// END says that the receiver has consumed everything: a stream that is refused at its last block fails, too.
void StreamCore::finish_send(const SendOptions& options) {
  Lock lock(*this);
  wait_for_answers(lock, options.stop);
  const FrameHead head(FrameType::end, send_.next_id());
  lock.unlock();
  const Status status = post(head, {}, options.stop);
  if (status != Status::ok) fail_post(status, 0, options.stop);
  if (options.on_progress) options.on_progress(send_progress());
}

void StreamCore::wait_for_answers(Lock& lock, const std::stop_token& stop) {
  const auto ready = [&] { return send_.all_answered() || send_failure_ || ended_ != Status::ok; };
  throw_send_wake(wait(
      lock, ready, [this] { return ack_deadline(); }, stop));
  if (send_failure_ || !send_.all_answered()) throw_send_failure();
}

/// The stream failed: the receiver is told, and given a moment to answer what is under way, so that no late
/// answer meets the next stream.
void StreamCore::tell_failure(const std::exception_ptr& failure) noexcept {
  std::string text = "the sender failed";
  try {
    std::rethrow_exception(failure);
  } catch (const StreamError& known) {
    text = known.code() == stream_errc::rejected ? std::string(kReceiverClosed) : known.what();
  } catch (const std::exception& known) {
    text = known.what();
  } catch (...) {  // something else: the text says no more
  }
  try {
    Lock lock(*this);
    if (ended_ == Status::ok) {
      const FrameHead head(FrameType::error, send_.next_id());
      lock.unlock();
      const std::string json = ipc::to_json_string(text);
      (void)post(head, std::as_bytes(std::span(json)), {});
      lock.lock();
    }
    const Deadline deadline = deadline_in(options_.linger);
    (void)wait(
        lock, [this] { return send_.all_answered() || ended_ != Status::ok; }, [&] { return deadline; }, {});
  } catch (...) {  // telling the peer is a courtesy; the caller gets the first failure
  }
  const Lock lock(*this);
  sending_ = false;
  changed_.notify_all();
}

void StreamCore::throw_send_failure() const {
  if (send_failure_) fail(*send_failure_, sent_so_far());
  if (ended_ != Status::ok) fail(port_failure(), sent_so_far());
}

void StreamCore::throw_send_wake(Wake wake) const {
  if (wake == Wake::cancelled) fail({stream_errc::cancelled, "stopped here", {}}, sent_so_far());
  if (wake == Wake::timed_out) {
    const auto seconds = std::chrono::duration<double>(options_.ack_timeout).count();
    fail({stream_errc::timed_out, "no block was answered for " + std::to_string(seconds) + " s", {}},
         sent_so_far());
  }
}

Deadline StreamCore::ack_deadline() {
  if (!waiting_since_) waiting_since_ = std::chrono::steady_clock::now();
  const auto left = kNoDeadline - *waiting_since_;
  return options_.ack_timeout >= left ? kNoDeadline : *waiting_since_ + options_.ack_timeout;
}

std::string StreamCore::sent_so_far() const {
  return "port stream: sending ended after " + std::to_string(send_.blocks_sent()) + " blocks, " +
         std::to_string(send_.bytes_acknowledged()) + " of " + std::to_string(send_.bytes_sent()) +
         " bytes acknowledged";
}

SendProgress StreamCore::send_progress() const {
  const Lock lock(*this);
  return {send_.blocks_sent(), send_.bytes_sent(), send_.bytes_acknowledged(), send_.bytes_in_flight()};
}

}  // namespace sluice::ipc

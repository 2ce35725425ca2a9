#include "stream_sender.hpp"

#include <poll.h>

#include <algorithm>

#include "sluice/base/detail/wait_for_events.hpp"

namespace sluice::ipc {

/// Blocks of a stream that failed may be unanswered still: their numbers mean other blocks from now on.
void StreamSender::begin(const SendOptions& options) {
  reader_.check_process();
  Lock lock(reader_.mutex(), Party::sender);
  reader_.enter(lock);
  options_ = &options;
  try {
    if (!state_.all_answered()) wait_for_answers(lock, true);
  } catch (...) {
    leave(lock);
    throw;
  }
  if (state_.blocks_sent() != 0) state_.restart();
  reader_.answers().begin();
  partial_.clear();
  failure_.reset();
  skip_looks_ = 0;
  most_in_flight_ = kNoLimit;
  waiting_since_.reset();
  publish_progress();
}

/// Across the pieces, blocks of one size, and what is left at the end.
void StreamSender::cut(std::span<const std::byte> piece) {
  const std::size_t size = reader_.options().chunk_bytes;
  while (!piece.empty()) {
    if (partial_.empty() && piece.size() >= size) {
      send_block(piece.first(size));
      piece = piece.subspan(size);
      continue;
    }
    const auto part = piece.first(std::min(piece.size(), size - partial_.size()));
    partial_.insert(partial_.end(), part.begin(), part.end());
    piece = piece.subspan(part.size());
    if (partial_.size() == size) {
      send_block(partial_);
      partial_.clear();
    }
  }
}

/// Before each block: a rejection stops the sender at once. In a dense run of small blocks, while the last
/// look found nothing, at every sixteenth only: to look would cost more than a third of the block.
inline bool StreamSender::time_to_look(std::size_t block_bytes) noexcept {
  constexpr std::size_t kSmallBytes = 4096;
  if (reader_.news()) return true;
  if (block_bytes > kSmallBytes || skip_looks_ == 0) return true;
  --skip_looks_;
  return false;
}

/// While the other direction is in use its thread reads the answers; this one only if it has to wait.
void StreamSender::look() {
  constexpr unsigned kSkippedLooks = 15;
  skip_looks_ = kSkippedLooks;
  const Lock lock(reader_.mutex(), Party::sender);
  if (reader_.alone(Party::sender)) {
    most_in_flight_ = kNoLimit;
    if (reader_.poll_some(Party::sender)) skip_looks_ = 0;
  }
  absorb();
}

void StreamSender::send_block(std::span<const std::byte> block) {
  if (cancelled()) [[unlikely]]
    throw_wake(Wake::cancelled);
  if (time_to_look(block.size())) look();
  if (!may_send(block.size())) [[unlikely]]
    wait_to_send(block.size());
  throw_if_over();
  const FrameHead head(FrameType::data, state_.begin_block(block.size()));
  Status status = reader_.try_post(Party::sender, head, block);
  if (status != Status::ok) [[unlikely]] {
    if (StreamReader::is_full(status)) status = post_slowly(head, block);
    if (status != Status::ok) fail_post(status, block.size());
  }
  publish_progress();
  if (options_->on_progress) options_->on_progress(progress());
}

/// A port can't be waited for together with a descriptor: it is looked at now and then.
void StreamSender::wait_for_input(int fd) {
  if (options_ == nullptr)
    throw error(errc::misuse, "wait_for_input on a port stream that sends nothing at present");
  if (fd < 0) throw_errno(EBADF, "waiting for the input of a port stream");
  unsigned looks = 0;
  for (Deadline look = Deadline::min(); !base::wait_for_events(fd, POLLIN, look);
       look = StreamReader::next_look(kNoDeadline, looks)) {
    if (cancelled()) throw_wake(Wake::cancelled);
    Lock lock(reader_.mutex(), Party::sender);
    (void)reader_.poll_some(Party::sender);
    absorb();
    throw_if_over();
    reader_.flush_rejection(lock, look, options_->stop);
  }
}

void StreamSender::wait_to_send(std::size_t bytes) {
  Lock lock(reader_.mutex(), Party::sender);
  const auto ready = [&] {
    absorb();
    return may_send(bytes) || failure_ || port_failure_;
  };
  throw_wake(reader_.wait(
      lock, ready, [this] { return ack_deadline(); }, options_->stop));
}

void StreamSender::wait_for_answers(Lock& lock, bool whatever_they_say) {
  const auto ready = [&] {
    absorb();
    return state_.all_answered() || port_failure_ || (failure_ && !whatever_they_say);
  };
  throw_wake(reader_.wait(
      lock, ready, [this] { return ack_deadline(); }, options_->stop));
  if (!whatever_they_say || !state_.all_answered()) throw_if_over();
}

/// The port is full, and may be full of blocks that the receiver hasn't come to.
Status StreamSender::post_slowly(const FrameHead& head, std::span<const std::byte> body) {
  {
    const Lock lock(reader_.mutex(), Party::sender);
    most_in_flight_ = reader_.alone(Party::sender) ? kNoLimit : state_.bytes_in_flight() / 2;
  }
  return reader_.post_slowly(Party::sender, head, body, deadline_in(reader_.options().ack_timeout),
                             options_->stop);
}

/// Uses the answers that have come. With the lock.
void StreamSender::absorb() {
  if (!reader_.news()) return;
  reader_.news_seen();
  if (const auto handled = reader_.answers().take_handled())
    use(handled->id, {.handled = true, .window = handled->window}, {});
  if (const auto rejected = reader_.answers().take_rejected()) use(rejected->id, {}, rejected->reason);
  if (reader_.ended() && !port_failure_) port_failure_ = reader_.port_failure();
  publish_progress();
}

void StreamSender::use(BlockId id, const Answer& answer, const std::string& reason) {
  using Effect = SendState::AckEffect;
  const Effect effect = state_.on_ack(id, answer);
  const bool useful = effect == Effect::advanced || effect == Effect::rejected;
  reader_.count_message(useful);
  if (useful) waiting_since_.reset();
  if (failure_) return;
  if (effect == Effect::rejected) {
    const std::string why = reason.empty() ? std::string(kReceiverClosed) : reason;
    failure_ = {stream_errc::rejected, why, why};
  } else if (effect == Effect::never_sent) {
    failure_ = {stream_errc::protocol, "the peer acknowledged block " + std::to_string(id) +
                                           ", expected one below " + std::to_string(state_.next_id())};
  }
}

/// The port didn't take a block. What the peer said before it ended is the better explanation.
void StreamSender::fail_post(Status status, std::size_t bytes) {
  Lock lock(reader_.mutex(), Party::sender);
  (void)reader_.poll_some(Party::sender);
  absorb();
  if (failure_) throw_failure(*failure_, sent_so_far());
  if (cancelled()) throw_wake(Wake::cancelled);
  if (StreamReader::is_full(status)) throw_wake(Wake::timed_out);
  if (status == Status::too_large) {
    throw_failure(
        {stream_errc::port_failed, "a block of " + std::to_string(bytes) +
                                       " bytes is larger than the port's largest message; set chunk_bytes"},
        sent_so_far());
  }
  reader_.end(status);
  throw_failure(reader_.port_failure(), sent_so_far());
}

/// END says that the receiver has consumed everything: a stream that is refused at its last block fails, too.
StreamTotals StreamSender::finish() {
  reader_.check_process();
  if (!partial_.empty()) {
    send_block(partial_);
    partial_.clear();
  }
  {
    Lock lock(reader_.mutex(), Party::sender);
    wait_for_answers(lock, false);
  }
  const Status status = reader_.post(Party::sender, FrameHead(FrameType::end, state_.next_id()), {},
                                     deadline_in(reader_.options().ack_timeout), options_->stop);
  if (status != Status::ok) fail_post(status, 0);
  publish_progress();
  if (options_->on_progress) options_->on_progress(progress());
  Lock lock(reader_.mutex(), Party::sender);
  leave(lock);
  return {state_.blocks_sent(), state_.bytes_sent()};
}

void StreamSender::fail(const std::exception_ptr& failure) noexcept {
  if (reader_.forked()) return;
  std::string text = "the sender failed";
  auto patience = reader_.options().ack_timeout;  // for room to say so
  std::stop_token stop = options_->stop;
  try {
    std::rethrow_exception(failure);
  } catch (const StreamError& known) {
    text = known.code() == stream_errc::rejected ? std::string(kReceiverClosed) : known.what();
    patience = reader_.options().linger;  // it was stopped, or has waited already
    stop = {};
  } catch (const std::exception& known) {
    text = words_of(known);
  } catch (...) {  // something else: the text says no more
  }
  try {
    if (!port_failure_ || port_failure_->code == stream_errc::protocol) {
      const std::string json = to_json_string(text);
      (void)reader_.post(Party::sender, FrameHead(FrameType::error, state_.next_id()),
                         std::as_bytes(std::span(json)), deadline_in(patience), stop);
    }
    Lock lock(reader_.mutex(), Party::sender);
    const Deadline deadline = deadline_in(reader_.options().linger);
    const auto ready = [this] {
      absorb();
      return state_.all_answered() || port_failure_;
    };
    (void)reader_.wait(lock, ready, [&] { return deadline; }, {});
  } catch (...) {  // telling the peer is a courtesy; the caller gets the first failure
  }
  Lock lock(reader_.mutex(), Party::sender);
  leave(lock);
}

void StreamSender::leave(Lock& lock) noexcept {
  options_ = nullptr;
  reader_.answers().expect(!state_.all_answered());
  reader_.leave(lock);
}

void StreamSender::throw_if_over() const {
  if (failure_) [[unlikely]]
    throw_failure(*failure_, sent_so_far());
  if (port_failure_) [[unlikely]]
    throw_failure(*port_failure_, sent_so_far());
}

void StreamSender::throw_wake(Wake wake) const {
  reader_.check_process();
  if (wake == Wake::cancelled) throw_failure({stream_errc::cancelled, "stopped here"}, sent_so_far());
  if (wake == Wake::timed_out) {
    const auto seconds = std::chrono::duration<double>(reader_.options().ack_timeout).count();
    throw_failure({stream_errc::timed_out, "no block was answered for " + std::to_string(seconds) + " s"},
                  sent_so_far());
  }
}

Deadline StreamSender::ack_deadline() {
  if (!waiting_since_) waiting_since_ = std::chrono::steady_clock::now();
  const auto left = kNoDeadline - *waiting_since_;
  const auto timeout = reader_.options().ack_timeout;
  return timeout >= left ? kNoDeadline : *waiting_since_ + timeout;
}

std::string StreamSender::sent_so_far() const {
  return "port stream: sending ended after " + std::to_string(state_.blocks_sent()) + " blocks, " +
         std::to_string(state_.bytes_acknowledged()) + " of " + std::to_string(state_.bytes_sent()) +
         " bytes acknowledged";
}

void StreamSender::publish_progress() noexcept {
  blocks_sent_.store(state_.blocks_sent(), std::memory_order_relaxed);
  bytes_sent_.store(state_.bytes_sent(), std::memory_order_relaxed);
  bytes_acknowledged_.store(state_.bytes_acknowledged(), std::memory_order_relaxed);
  bytes_in_flight_.store(state_.bytes_in_flight(), std::memory_order_relaxed);
}

SendProgress StreamSender::progress() const noexcept {
  return {blocks_sent_.load(std::memory_order_relaxed), bytes_sent_.load(std::memory_order_relaxed),
          bytes_acknowledged_.load(std::memory_order_relaxed),
          bytes_in_flight_.load(std::memory_order_relaxed)};
}

}  // namespace sluice::ipc

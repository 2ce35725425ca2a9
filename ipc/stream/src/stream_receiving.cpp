// The receiving half of StreamCore.
#include <algorithm>
#include <string>
#include <utility>

#include "stream_core.hpp"

namespace sluice::ipc {

using ipc::BlockId;
using ipc::FrameHead;
using Verdict = ipc::ReceiveState::Verdict;

namespace {

/// Streams that have ended and that nobody has received: as many as blocks may be in flight.
constexpr std::size_t kMaxQueuedItems = 4 * ipc::kMaxBlocksInFlight;
constexpr std::size_t kMaxSpareStorage = 32;

std::span<const std::byte> as_bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

void StreamCore::take_or_refuse(const ipc::Frame& frame, Verdict verdict) {
  switch (verdict) {
    case Verdict::accept:
      return push_item(Item::Kind::block, frame.payload);
    case Verdict::wrong_id:
      return refuse_arriving(frame.id, "the peer sent block " + std::to_string(frame.id) +
                                           ", expected block " + std::to_string(receive_.expected_id()));
    case Verdict::over_window:
      return refuse_arriving(frame.id,
                             "the peer sent more than it may: block " + std::to_string(frame.id) + " of " +
                                 std::to_string(frame.payload.size()) + " bytes, expected at most " +
                                 std::to_string(receive_.allowed_bytes()) + " bytes without an answer");
    case Verdict::refused:
    case Verdict::wrong_count:
      return request_rejection(frame.id);
  }
}

void StreamCore::on_end(const ipc::Frame& frame) {
  const bool is_error = frame.type == ipc::FrameType::error;
  const BlockId came = receive_.expected_id();
  const Verdict verdict = is_error ? receive_.on_error() : receive_.on_end(frame.id);
  if (verdict == Verdict::refused) return;
  if (queue_.size() >= kMaxQueuedItems) {
    ended_ = Status::broken;
    ended_text_ = "the peer sent " + std::to_string(queue_.size()) + " streams that nobody received";
    return;
  }
  if (is_error) {
    push_item(Item::Kind::error, as_bytes_of(ipc::text_of_peer(frame.payload)));
  } else if (verdict == Verdict::wrong_count) {
    push_item(Item::Kind::violation, as_bytes_of("the peer's END counts " + std::to_string(frame.id) +
                                                 " blocks, expected " + std::to_string(came)));
  } else {
    push_item(Item::Kind::end, {});
  }
}

void StreamCore::push_item(Item::Kind kind, std::span<const std::byte> bytes) {
  Item& item = queue_.emplace_back();
  item.kind = kind;
  item.bytes = take_storage();
  item.bytes.assign(bytes.begin(), bytes.end());
}

/// The arriving stream broke a rule: its blocks are dropped, and the receive that would have got them fails.
void StreamCore::refuse_arriving(BlockId id, const std::string& text) {
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;
  while (!queue_.empty() && queue_.back().kind == Item::Kind::block) {
    ++blocks;
    bytes += queue_.back().bytes.size();
    queue_.pop_back();
  }
  if (queue_.empty() && block_out_ && !current_answered_) {
    ++blocks;
    bytes += block_.size();
    current_answered_ = true;
  }
  (void)receive_.consumed_unanswered();
  (void)receive_.refuse(blocks, bytes, false);
  refusal_json_ = ipc::to_json_string(text);
  request_rejection(id);
  push_item(Item::Kind::violation, as_bytes_of(text));
}

void StreamCore::begin_receive() {
  Lock lock(*this);
  enter(lock, receiving_, "receive", {});
  over_ = false;
  received_ = {};
}

inline void StreamCore::hand_out(std::span<const std::byte> block, bool in_place) {
  block_ = block;
  in_place_ = in_place;
  block_out_ = true;
  current_answered_ = false;
  consumer_ = std::this_thread::get_id();
  ++received_.blocks;
  received_.bytes += block.size();
}

/// The consumer came back: the block that it had is handled. The ring's room goes first, so that a sender who
/// waits for it can go on and read the ACK.
inline void StreamCore::finish_block(Lock& lock, const std::stop_token& stop) {
  const bool straight = in_place_ && by_caller_ && !change_wanted_ && !current_answered_ && queue_.empty();
  if (!straight) [[unlikely]] {
    give_back_block();
    if (by_caller_ && change_wanted_) let_change(lock);
    if (current_answered_) return;
  }
  if (by_caller_ && queue_.empty()) poll();  // gives back what is in place
  if (receive_.consumed(block_.size())) {
    post_handled(lock, *receive_.consumed_unanswered(), stop);
  } else if (!block_waits()) {
    answer_block(lock, block_.size(), stop);
  }
}

bool StreamCore::next_block(std::span<const std::byte>& block, const std::stop_token& stop) {
  Lock lock(*this);
  if (std::exchange(block_out_, false)) finish_block(lock, stop);
  if (!something_waits()) wait_for_item(lock, stop);
  if (closing_ || stop.stop_requested()) [[unlikely]]
    fail_receive(lock, Wake::cancelled);
  if (in_place_block_) [[likely]] {
    block = *std::exchange(in_place_block_, std::nullopt);
    hand_out(block, true);
    return true;
  }
  current_ = std::move(queue_.front());
  queue_.pop_front();
  if (current_.kind == Item::Kind::block) {
    block = current_.bytes;
    hand_out(block, false);
    return true;
  }
  over_ = true;
  receive_.end_taken();
  const std::string text(reinterpret_cast<const char*>(current_.bytes.data()), current_.bytes.size());
  if (current_.kind == Item::Kind::error) {
    fail({stream_errc::sender_failed, "the sender reported: " + text, text}, received_so_far());
  }
  if (current_.kind == Item::Kind::violation) {
    flush_rejection(lock);
    linger(lock);
    fail({stream_errc::protocol, text, {}}, received_so_far());
  }
  return false;
}

/// Returns when there is a block or the stream's end; throws if neither comes.
void StreamCore::wait_for_item(Lock& lock, const std::stop_token& stop) {
  std::optional<Deadline> idle_deadline;
  const auto until = [&] {
    if (options_.idle_timeout == std::chrono::nanoseconds::max()) return kNoDeadline;
    if (!idle_deadline) idle_deadline = deadline_in(options_.idle_timeout);
    return *idle_deadline;
  };
  const Wake wake = wait(
      lock, [this] { return something_waits() || ended_ != Status::ok; }, until, stop);
  if (wake != Wake::ready || !something_waits()) fail_receive(lock, wake);
}

void StreamCore::fail_receive(Lock& lock, Wake wake) {
  const std::string what = received_so_far();
  if (wake == Wake::ready) {
    over_ = true;
    fail(port_failure(), what);
  }
  const Failure failure =
      wake == Wake::cancelled
          ? Failure{stream_errc::cancelled, "stopped here", {}}
          : Failure{stream_errc::timed_out,
                    "nothing came for " +
                        std::to_string(std::chrono::duration<double>(options_.idle_timeout).count()) + " s",
                    {}};
  stop_stream(lock, true, wake == Wake::cancelled ? "receiver was stopped" : "receiver timed out");
  fail(failure, what);
}

/// No further block is there. While the peer may send more and does, an ACK waits until it is due: to answer
/// each block would cost a fast sender more than the block.
void StreamCore::answer_block(Lock& lock, std::uint64_t bytes, const std::stop_token& stop) {
  if (by_caller_ && !something_waits() && receive_.peer_may_send(bytes) && look_again() && block_waits()) {
    return;
  }
  if (const auto id = receive_.consumed_unanswered()) post_handled(lock, *id, stop);
}

void StreamCore::give_back_block() {
  if (in_place_) return message_in_place_.release();
  if (spare_storage_.size() < kMaxSpareStorage) spare_storage_.push_back(std::move(current_.bytes));
}

void StreamCore::post_handled(Lock& lock, BlockId id, const std::stop_token& stop) {
  const FrameHead head = FrameHead::handled(id, receive_.grant());
  lock.unlock();
  // A port that takes no more has ended: that shows when the queue is empty and the stream isn't over.
  (void)post(head, {}, stop);
  lock.lock();
}

void StreamCore::end_receive(bool block_handled, std::string_view reason) noexcept {
  try {
    Lock lock(*this);
    if (!receiving_) return;
    if (!over_) stop_stream(lock, block_handled, reason);
  } catch (...) {  // out of memory or a port that throws: the peer's own timeout has to do
  }
  const Lock lock(*this);
  receiving_ = false;
  changed_.notify_all();
}

/// Ends the stream that is being received, or that would be received next, from our side.
void StreamCore::stop_stream(Lock& lock, bool block_handled, std::string_view reason) {
  over_ = true;
  const bool answer_current = std::exchange(block_out_, false) && !current_answered_;
  const std::uint64_t current_bytes = block_.size();
  if (in_place_block_) copy_in_place_block();
  message_in_place_.release();
  if (answer_current && block_handled) (void)receive_.consumed(current_bytes);
  if (const auto handled = receive_.consumed_unanswered()) post_handled(lock, *handled, {});

  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;
  if (answer_current && !block_handled) {
    ++blocks;
    bytes += current_bytes;
  }
  bool end_dropped = false;
  while (!queue_.empty() && !end_dropped) {
    end_dropped = queue_.front().kind != Item::Kind::block;
    if (!end_dropped) {
      ++blocks;
      bytes += queue_.front().bytes.size();
    }
    queue_.pop_front();
  }
  refusal_json_ = ipc::to_json_string(reason);
  if (const auto id = receive_.refuse(blocks, bytes, end_dropped)) rejection_ = *id;
  flush_rejection(lock);
  linger(lock);
}

/// Blocks that are on their way are refused by whoever reads the port; where that's us, we stay for it.
void StreamCore::linger(Lock& lock) {
  if (!by_caller_ && !closing_) return;
  const Deadline deadline = deadline_in(options_.linger);
  const bool closing = closing_.exchange(false);  // the wait is short, and not to be cut
  (void)wait(
      lock, [this] { return !receive_.refusing() || ended_ != Status::ok; }, [&] { return deadline; }, {});
  flush_rejection(lock);
  if (closing) closing_ = true;
}

/// What arrived and nobody received: its sender is told.
void StreamCore::refuse_leftovers(Lock& lock) {
  if (!queue_.empty()) stop_stream(lock, false, kReceiverClosed);
}

/// A block came that nobody wants. The thread that reads the port answers by itself if it's one of ours; the
/// port's delivery thread must not wait for room, and has it done.
void StreamCore::request_rejection(BlockId id) {
  rejection_ = id;  // answers every block before it, too
  if (by_caller_) return;
  if (!rejecter_.joinable()) rejecter_ = std::thread([this] { run_rejecter(); });
}

/// By one thread at a time: a rejection that another one overtakes would arrive after the stream is answered,
/// and meet the next one.
void StreamCore::flush_rejection(Lock& lock) {
  if (rejecting_) return;  // that thread takes ours, too
  rejecting_ = true;
  while (rejection_ && ended_ == Status::ok) {
    const FrameHead head = FrameHead::rejected(*std::exchange(rejection_, std::nullopt));
    const std::string json = refusal_json_;
    lock.unlock();
    try {
      (void)post(head, std::as_bytes(std::span(json)), {});
    } catch (...) {  // a port that throws
      lock.lock();
      rejecting_ = false;
      throw;
    }
    lock.lock();
  }
  rejecting_ = false;
}

/// Doesn't wake for a rejection that another thread is about to post: to look at it again and again would
/// keep that thread from the mutex.
void StreamCore::run_rejecter() {
  Lock lock(*this);
  while (!rejecter_stops_) {
    flush_rejection(lock);
    changed_.wait(lock,
                  [this] { return rejecter_stops_ || (rejection_ && !rejecting_ && ended_ == Status::ok); });
  }
}

/// The port's memory is about to be given back: the block that lies there and waits is copied.
void StreamCore::copy_in_place_block() {
  push_item(Item::Kind::block, *std::exchange(in_place_block_, std::nullopt));
}

std::vector<std::byte> StreamCore::take_storage() {
  if (spare_storage_.empty()) return {};
  std::vector<std::byte> storage = std::move(spare_storage_.back());
  spare_storage_.pop_back();
  return storage;
}

std::string StreamCore::received_so_far() const {
  return "port stream: receiving ended after " + std::to_string(received_.blocks) + " blocks, " +
         std::to_string(received_.bytes) + " bytes";
}

StreamTotals StreamCore::receive_progress() const {
  const Lock lock(*this);
  return received_;
}

}  // namespace sluice::ipc

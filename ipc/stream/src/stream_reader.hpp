// Who reads the port of a stream, and who posts to it: the part that both directions share.
//
// A message goes from the port through take() to where its frame belongs: DATA, END and ERROR to Arrivals,
// for the receiver; ACKs to PeerAnswers, for the sender. The port is read by whichever thread waits, in
// send() or in the receiving loop, for both directions. One that can't be read by calls hands its messages
// over on its delivery thread, which waits for nothing but the lock.
//
// Frames are posted by the threads inside send() and the receiving loop. Nothing is posted or waited for with
// the lock held. A caller who finds no room to post reads meanwhile: so two endpoints that send to each other
// always drain each other's ring.
//
// While only one direction is in use both locks are its own (see BiasedMutex), and a block waits in place.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "arrivals.hpp"
#include "biased_mutex.hpp"
#include "peer_answers.hpp"
#include "port_handlers.hpp"
#include "sluice/base/detail/wiped_word.hpp"
#include "sluice/ipc/stream/port_stream.hpp"

namespace sluice::ipc {

/// What a stream's sender is told of a receiver that doesn't want more.
inline constexpr std::string_view kReceiverClosed = "Receiver closed the stream";

/// So many messages in a row may come that have no effect: blocks of a refused stream, answers to nothing,
/// what is no frame. Twice what a peer that obeys can have on its way.
inline constexpr std::size_t kMaxUselessMessages = 2 * kMaxBlocksInFlight;

/// What ended a stream early.
struct StreamFailure {
  stream_errc code;
  std::string text;
  std::string reason{};
};

[[noreturn]] void throw_failure(const StreamFailure& failure, const std::string& so_far);

/// How a wait ended.
enum class Wake : std::uint8_t { ready, timed_out, cancelled };

/// Threads: each party's calls by its own thread; close() and news() by any.
class StreamReader {
 public:
  using Lock = BiasedLock;

  /// Throws errc::bad_option.
  StreamReader(AnyPort port, const PortStreamOptions& options, BlockId first_id);

  const PortStreamOptions& options() const noexcept { return options_; }
  BiasedMutex& mutex() noexcept { return mutex_; }
  /// How often a block, or an answer, had to share a lock: for tests.
  std::uint64_t slow_locks() const noexcept { return mutex_.slow_locks() + posting_.slow_locks(); }

  // Operations: from enter to leave a party sends or receives. With the lock.

  /// Throws errc::misuse if it can't begin.
  void enter(Lock& lock);
  void leave(Lock& lock) noexcept;
  /// Whether this party reads all that comes: the other direction isn't in use.
  bool alone(Party party) const noexcept { return can_read_ && operations_ == bit(party); }
  /// Also in a forked child: one look tells that nothing goes on.
  bool closing() const noexcept { return state_->load(std::memory_order_relaxed) != kOpen; }
  /// In a forked child nothing may be touched, not even a lock, which may have been held when it was forked.
  bool forked() const noexcept { return state_->load(std::memory_order_relaxed) == kForked; }
  /// Throws errc::misuse in a forked child.
  void check_process() const;
  /// From any thread, without the lock. Whether nothing goes on that ends by itself.
  bool close();
  /// Clears closing() for a wait that is short, and not to be cut; returns what it was.
  bool suspend_closing() noexcept { return state_->exchange(kOpen) == kClosing; }
  void resume_closing() noexcept { *state_ = kClosing; }
  /// Gives the port's handlers back. Without the lock.
  void give_handlers_back() { handlers_.give_back(); }

  // What has come. With the lock, but for news().

  Arrivals& arrivals() noexcept { return arrivals_; }
  PeerAnswers& answers() noexcept { return answers_; }
  /// Whether an answer, or the port's end, has come that the sender hasn't seen.
  bool news() const noexcept { return news_.load(std::memory_order_relaxed); }
  void news_seen() noexcept { news_.store(ended(), std::memory_order_relaxed); }
  /// A message had an effect, or none. The peer breaks a rule if that goes on.
  void count_message(bool useful);
  bool ended() const noexcept { return ended_ != Status::ok; }
  void end(Status status) noexcept;
  /// What ended the port, as a stream's end.
  StreamFailure port_failure() const;

  // Reading. With the lock.

  /// Whether this party may read now.
  bool may_read(Party party) const noexcept {
    return can_read_ && !reading_ && !rule_broken_ && !arrivals_.in_hand_in_place() &&
           !(party == Party::sender && receiver_waits_);
  }
  /// Gives the message read before back, and takes the next one if there is one; only if may_read().
  bool poll() {
    if (arrivals_.waits_in_place()) arrivals_.keep_in_place_block();
    return take(port_.try_receive());
  }
  /// Reads what is there, but no more than some messages: the peer may never run out of them.
  bool poll_some(Party party) {
    constexpr int kMost = 64;
    int polls = 0;
    while (polls < kMost && may_read(party) && poll()) ++polls;
    return polls != 0;
  }
  /// poll() now and then for a few microseconds: whether the next block of a dense stream came.
  bool poll_again();
  /// When a wait on what can't be woken for a stop, a close or the peer looks for these again.
  static Deadline next_look(Deadline deadline, unsigned& looks);
  /// Gives the port's room back for good: a block that waits there is copied, one in hand is no longer used.
  void release_places();
  /// What waits first, for the consumer on this thread.
  Arrivals::Kind next(std::span<const std::byte>& block) {
    consumer_ = this_thread();
    return arrivals_.next(block);
  }
  /// Waits, without the lock, until ready() holds: that must be so at the latest when the port has ended.
  /// `until` gives the deadline, which may move while frames come.
  template <typename Ready, typename Until>
  Wake wait(Lock& lock, Ready ready, Until until, const std::stop_token& stop);

  // Posting. Without the lock.

  /// would_block or timed_out: there is no room now.
  Status try_post(Party party, const FrameHead& head, std::span<const std::byte> body) {
    const BiasedLock posting(posting_, party);
    return port_.post_parts_until(head.bytes(), body, Deadline::min());
  }
  static bool is_full(Status status) noexcept {
    return status == Status::timed_out || status == Status::would_block;
  }
  /// Waits for room, and reads meanwhile.
  Status post_slowly(Party party, const FrameHead& head, std::span<const std::byte> body, Deadline deadline,
                     const std::stop_token& stop);
  Status post(Party party, const FrameHead& head, std::span<const std::byte> body, Deadline deadline,
              const std::stop_token& stop) {
    const Status status = try_post(party, head, body);
    return is_full(status) ? post_slowly(party, head, body, deadline, stop) : status;
  }
  /// Posts the rejection that is due; if there is no room until the deadline, it stays due. With the lock,
  /// which it gives up meanwhile.
  void flush_rejection(Lock& lock, Deadline deadline, const std::stop_token& stop);

 private:
  /// Differs between threads that run at the same time.
  static const void* this_thread() noexcept {
    static thread_local const char place = 0;
    return &place;
  }
  static constexpr unsigned bit(Party party) noexcept { return 1U << static_cast<unsigned>(party); }

  void on_delivery(std::span<const std::byte> message);
  bool take(Message message);
  void handle(std::span<const std::byte> message);
  void break_rule(std::string rule);
  void set_operations(unsigned operations) noexcept;
  void notice();
  bool read(Lock& lock, Deadline deadline);
  void sleep(Lock& lock, Deadline deadline, const std::stop_token& stop);

  const PortStreamOptions options_;
  AnyPort port_;
  const bool can_read_;  // by calls; else the delivery thread hands messages over
  const bool polls_cheaply_;
  static constexpr std::uint64_t kForked = 0;  // what the kernel makes of it in a child
  static constexpr std::uint64_t kOpen = 1;
  static constexpr std::uint64_t kClosing = 2;
  const base::WipedWord state_{kOpen};  // relaxed: publishes nothing but itself
  BiasedMutex posting_;                 // one thread posts at a time

  BiasedMutex mutex_;
  std::condition_variable_any changed_;
  // All below under mutex_.
  unsigned operations_ = 0;         // a bit of each party that has entered
  bool leaves_in_place_ = false;    // blocks lie in the port's memory: only the receiver has entered
  const void* consumer_ = nullptr;  // the thread that got the last block
  bool reading_ = false;            // a caller waits in the port
  unsigned waiters_ = 0;            // wait for events_ to change
  bool receiver_waits_ = false;     // is one of them: it reads rather than the sender, who would have to copy
  std::uint64_t events_ = 0;
  Arrivals arrivals_;
  Message in_place_;  // of the block that waits in place, or is in hand there
  PeerAnswers answers_;
  // Set with the lock, looked at without: relaxed, since who sees it takes the lock.
  std::atomic<bool> news_{false};
  std::size_t useless_ = 0;  // messages in a row
  Status ended_ = Status::ok;
  std::string ended_text_;
  bool rule_broken_ = false;  // by the peer; ended_text_ says which
  bool rejecting_ = false;    // a thread posts a rejection
  PortHandlers handlers_;     // last: they use the rest
};

/// Hands a message on, and gives it back unless it is a block that stays in place.
inline bool StreamReader::take(Message message) {
  if (message.status() != Status::ok) {
    if (!is_full(message.status())) end(message.status());
    return false;
  }
  const auto bytes = message.bytes();
  if (leaves_in_place_ && arrivals_.queue_empty() && is_data(bytes)) {
    // Apart from the other frames, so that nothing of it goes through memory on its way.
    if (arrivals_.on_data_in_place(id_of(bytes), bytes.subspan(kFrameHeaderBytes))) [[likely]] {
      in_place_ = std::move(message);
      useless_ = 0;
    } else {
      count_message(false);
    }
  } else {
    handle(bytes);
  }
  if (waiters_ != 0) notice();
  return true;
}

template <typename Ready, typename Until>
Wake StreamReader::wait(Lock& lock, Ready ready, Until until, const std::stop_token& stop) {
  unsigned looks = 0;
  bool polled = false;  // and found something, but not looked at the clock since
  std::optional<Wake> wake;
  while (!wake) {
    if (ready()) {
      wake = Wake::ready;
    } else if (closing() || stop.stop_requested()) {
      wake = Wake::cancelled;
    } else if (!polled && may_read(lock.party()) && poll()) {
      looks = 0;
      polled = true;
    } else if (const Deadline deadline = until();
               deadline != kNoDeadline && std::chrono::steady_clock::now() >= deadline) {
      wake = Wake::timed_out;
    } else if (arrivals_.rejection_due() && !rejecting_ && !ended()) {
      flush_rejection(lock, deadline, stop);
    } else if (std::exchange(polled, false)) {
      continue;
    } else if (may_read(lock.party())) {
      if (read(lock, next_look(deadline, looks))) looks = 0;
    } else {
      sleep(lock, deadline, stop);
    }
  }
  if (waiters_ != 0) notice();  // one of them may read now
  return *wake;
}

}  // namespace sluice::ipc

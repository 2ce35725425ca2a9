// A port stream's machinery: connects the two state machines to a port, and threads to both.
//
// Frames are read by one thread at a time. While at most one operation goes on, that is the thread inside it
// (by_caller_). With the first send and receive that go on at the same time, and from the beginning in
// both_ways use, it is the port's delivery thread, which never waits for anything but the mutex, so that two
// endpoints that send to each other always drain each other's ring. Frames are posted by the threads inside
// send() and next_block(), and rejections of blocks that nobody waits for any more by a thread of their own.
// Nothing is posted or waited for with the mutex held.
//
// Changing over: the operation that comes second sets change_wanted_ and waits until the first one neither
// reads the port nor has a block in place; that one looks at change_wanted_ before it reads, at least every
// kLaterLook, and waits until the change is made.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "biased_mutex.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "sluice/ipc/stream/receive_state.hpp"
#include "sluice/ipc/stream/send_state.hpp"

namespace sluice::ipc {

/// Threads: send() by one, the receiving calls by one, the rest by any; where the caller reads the port, all
/// by one, except close().
// Members stand by what they belong to, not by size. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
class StreamCore {
 public:
  /// `first_id` other than 0: of the first stream in each direction, for tests. Throws errc::bad_option.
  StreamCore(AnyPort port, const PortStreamOptions& options, ipc::BlockId first_id = 0);
  StreamCore(const StreamCore&) = delete;
  StreamCore& operator=(const StreamCore&) = delete;
  ~StreamCore();

  StreamTotals send(const BlockSource& source, const SendOptions& options);
  SendProgress send_progress() const;

  // Receiving: begin_receive, next_block until it returns false or throws, end_receive in any case.

  void begin_receive();
  /// Acknowledges the block given before as handled, and waits for the next; false at the stream's end.
  bool next_block(std::span<const std::byte>& block, const std::stop_token& stop);
  /// Ends the receive. Where the stream isn't over it is refused: the block given last is answered as
  /// `block_handled` says, and later ones with `reason`.
  void end_receive(bool block_handled, std::string_view reason) noexcept;
  StreamTotals receive_progress() const;

  void close();

 private:
  /// Holds the mutex; nothing where one thread does it all: that saves a tenth of a small block.
  class Lock {
   public:
    explicit Lock(const StreamCore& core) : mutex_(core.one_thread_ ? nullptr : &core.mutex_) { lock(); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() {
      if (held_) unlock();
    }
    void lock() {
      if (mutex_ != nullptr) mutex_->lock();
      held_ = true;
    }
    void unlock() {
      held_ = false;
      if (mutex_ != nullptr) mutex_->unlock();
    }

   private:
    BiasedMutex* mutex_;
    bool held_ = false;
  };

  struct Failure {
    stream_errc code;
    std::string text;
    std::string reason;
  };

  /// What has arrived and not been consumed, in memory of this process.
  struct Item {
    enum class Kind : std::uint8_t { block, end, error, violation };
    Kind kind = Kind::block;
    std::vector<std::byte> bytes{};  // the block; of error and violation, what went wrong
  };

  enum class Wake : std::uint8_t { ready, timed_out, cancelled };

  // stream_core.cpp: reading, posting, waiting.
  void attach(Lock& lock);
  void detach();
  void notice();
  /// What ended the port, as a stream's end.
  Failure port_failure() const;
  void handle(const ipc::Frame& frame);
  bool poll();
  bool take(Message message);
  bool read_until(Lock& lock, Deadline deadline);
  bool look_again();
  template <typename Ready, typename Until>
  Wake wait(Lock& lock, Ready ready, Until until, const std::stop_token& stop);
  void read_or_wait(Lock& lock, Deadline deadline, const std::stop_token& stop);
  /// Without the mutex.
  Status post(const ipc::FrameHead& head, std::span<const std::byte> body, const std::stop_token& stop) {
    std::unique_lock posting(posting_, std::defer_lock);
    if (!one_thread_) posting.lock();
    const Status status = port_.post_parts_until(head.bytes(), body, Deadline::min());
    const bool full = status == Status::timed_out || status == Status::would_block;
    return full ? post_slowly(status, head, body, stop) : status;
  }
  Status post_slowly(Status status, const ipc::FrameHead& head, std::span<const std::byte> body,
                     const std::stop_token& stop);
  void enter(Lock& lock, bool& operation, const char* name, const std::stop_token& stop);
  void change_to_delivery(Lock& lock, const std::stop_token& stop);
  void let_change(Lock& lock);
  [[noreturn]] static void fail(const Failure& failure, const std::string& what);

  // stream_sending.cpp
  void on_ack(const ipc::Frame& frame);
  void begin_send(Lock& lock, const std::stop_token& stop);
  void look_for_answers(std::size_t block_bytes);
  void send_block(std::span<const std::byte> block, const SendOptions& options);
  void finish_send(const SendOptions& options);
  void tell_failure(const std::exception_ptr& failure) noexcept;
  [[noreturn]] void fail_post(Status status, std::size_t bytes, const std::stop_token& stop);
  void wait_for_answers(Lock& lock, const std::stop_token& stop);
  void throw_send_failure() const;
  void throw_send_wake(Wake wake) const;
  Deadline ack_deadline();
  std::string sent_so_far() const;

  // stream_receiving.cpp
  /// A block that stays where it lies.
  void on_data_in_place(ipc::BlockId id, std::span<const std::byte> block) {
    const auto verdict = receive_.on_data(id, block.size());
    if (verdict == ipc::ReceiveState::Verdict::accept) [[likely]] {
      in_place_block_ = block;
    } else {
      take_or_refuse({ipc::FrameType::data, id, block}, verdict);
    }
  }
  void take_or_refuse(const ipc::Frame& frame, ipc::ReceiveState::Verdict verdict);
  void on_end(const ipc::Frame& frame);
  void refuse_arriving(ipc::BlockId id, const std::string& text);
  void wait_for_item(Lock& lock, const std::stop_token& stop);
  void finish_block(Lock& lock, const std::stop_token& stop);
  void answer_block(Lock& lock, std::uint64_t bytes, const std::stop_token& stop);
  void post_handled(Lock& lock, ipc::BlockId id, const std::stop_token& stop);
  void stop_stream(Lock& lock, bool block_handled, std::string_view reason);
  void give_back_block();
  void fail_receive(Lock& lock, Wake wake);
  void linger(Lock& lock);
  void refuse_leftovers(Lock& lock);
  void request_rejection(ipc::BlockId id);
  void flush_rejection(Lock& lock);
  void run_rejecter();
  void push_item(Item::Kind kind, std::span<const std::byte> bytes);
  void hand_out(std::span<const std::byte> block, bool in_place);
  bool something_waits() const { return in_place_block_ || !queue_.empty(); }
  bool block_waits() const {
    return in_place_block_ || (!queue_.empty() && queue_.front().kind == Item::Kind::block);
  }
  void copy_in_place_block();
  std::vector<std::byte> take_storage();
  std::string received_so_far() const;

  const PortStreamOptions options_;
  AnyPort port_;
  const bool one_thread_;     // by_caller_ for ever
  const bool polls_cheaply_;  // a look at the port is worth while before anything slow is done
  MessageHandler previous_message_;
  // Shared with the calls that go on to them.
  std::shared_ptr<ErrorHandler> previous_error_;
  std::shared_ptr<CloseHandler> previous_close_;

  BiasedMutex posting_;  // one thread posts at a time
  mutable BiasedMutex mutex_;
  std::condition_variable_any changed_;

  // Set once, by any thread: publishes nothing but itself.
  std::atomic<bool> closing_{false};

  // Under mutex_; with one_thread_: of the thread inside an operation.
  bool by_caller_;  // the thread inside an operation reads the port; ends with the first change
  bool change_wanted_ = false;
  bool reading_ = false;  // the thread inside an operation waits in the port
  unsigned looks_ = 0;    // of the present wait in the port
  bool attached_ = false;
  Status ended_ = Status::ok;
  std::string ended_text_;
  std::uint64_t frames_ = 0;  // counts what a waiting thread may want to look at

  bool sending_ = false;
  unsigned skip_looks_ = 0;  // so many blocks may go before answers are looked for again
  ipc::SendState send_;
  std::optional<Failure> send_failure_;
  // When the wait for the next answer began; nothing while none is waited for. Answers reset it, so that the
  // clock is read only where there's time for it.
  std::optional<Deadline> waiting_since_;

  bool receiving_ = false;
  bool over_ = true;  // the stream being received has ended
  ipc::ReceiveState receive_;
  std::deque<Item> queue_;
  std::optional<std::span<const std::byte>> in_place_block_;  // the message read last; then queue_ is empty
  // With the consumer, if block_out_: in the port's memory if in_place_, else in current_.
  std::span<const std::byte> block_;
  Item current_;
  bool block_out_ = false;
  bool in_place_ = false;
  Message message_in_place_;       // with its block: in_place_block_, or what the consumer has
  bool current_answered_ = false;  // rejected already, with its stream
  std::thread::id consumer_;       // who got the last block
  StreamTotals received_;
  std::vector<std::vector<std::byte>> spare_storage_;
  std::optional<ipc::BlockId> rejection_;  // to be posted
  bool rejecting_ = false;                 // a thread posts them
  std::string refusal_json_;
  bool rejecter_stops_ = false;
  std::thread rejecter_;
};

/// What a stream's sender is told of a receiver that doesn't want more.
inline constexpr std::string_view kReceiverClosed = "Receiver closed the stream";

/// Handles a message that was read, and gives it back unless it is a block that stays in place.
inline bool StreamCore::take(Message message) {
  const Status status = message.status();
  if (status != Status::ok) {
    const bool none_yet = status == Status::would_block || status == Status::timed_out;
    if (!none_yet && ended_ == Status::ok) ended_ = status;
    return false;
  }
  // With another operation under way, that one's frames have to be read while the consumer has the block.
  if (receiving_ && !sending_ && queue_.empty() && ipc::is_data(message.bytes())) {
    // Apart from the other frames, so that nothing of it goes through memory on its way.
    on_data_in_place(ipc::id_of(message.bytes()), message.bytes().subspan(ipc::kFrameHeaderBytes));
  } else if (const auto frame = ipc::decode_frame(message.bytes())) {
    handle(*frame);
  }
  if (in_place_block_) message_in_place_ = std::move(message);
  return true;
}

inline void StreamCore::handle(const ipc::Frame& frame) {
  switch (frame.type) {
    case ipc::FrameType::data:
      return take_or_refuse(frame, receive_.on_data(frame.id, frame.payload.size()));
    case ipc::FrameType::ack:
      return on_ack(frame);
    case ipc::FrameType::end:
    case ipc::FrameType::error:
      return on_end(frame);
  }
}

/// Gives the message read before back, and handles the next one if there is one: with the mutex.
inline bool StreamCore::poll() {
  if (in_place_block_) copy_in_place_block();
  return take(port_.try_receive());
}

/// Waits, without the mutex, until ready() holds: that must be so at the latest when the port has ended.
/// `until` gives the deadline, which may move while frames come.
template <typename Ready, typename Until>
StreamCore::Wake StreamCore::wait(Lock& lock, Ready ready, Until until, const std::stop_token& stop) {
  for (;;) {
    if (ready()) return Wake::ready;
    if (closing_ || stop.stop_requested()) return Wake::cancelled;
    if (by_caller_ && change_wanted_) {
      let_change(lock);
      continue;
    }
    if (by_caller_ && poll()) continue;
    flush_rejection(lock);
    if (ready()) return Wake::ready;
    const Deadline deadline = until();
    if (deadline != kNoDeadline && std::chrono::steady_clock::now() >= deadline) return Wake::timed_out;
    read_or_wait(lock, deadline, stop);
  }
}

}  // namespace sluice::ipc

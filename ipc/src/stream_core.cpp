#include "stream_core.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace sluice::detail {
namespace {

/// How soon a stop request is noticed by a wait on a port, which can't be woken for it.
constexpr auto kStopPoll = std::chrono::milliseconds(50);
/// How long a port that has ended may take to deliver its last messages.
constexpr auto kLastMessages = std::chrono::milliseconds(200);

Deadline next_look(Deadline deadline, const std::stop_token& stop) {
  return stop.stop_possible() ? std::min(deadline, deadline_in(kStopPoll)) : deadline;
}

void check(const PortStreamOptions& options) {
  const auto positive = [](std::chrono::nanoseconds time, const char* name) {
    if (time <= std::chrono::nanoseconds::zero()) {
      throw error(errc::bad_option, std::string("PortStreamOptions::") + name +
                                        ": expected more than 0, got " + std::to_string(time.count()) +
                                        " ns");
    }
  };
  positive(options.ack_timeout, "ack_timeout");
  positive(options.idle_timeout, "idle_timeout");
  if (options.linger < std::chrono::nanoseconds::zero()) positive(options.linger, "linger");
}

}  // namespace

StreamCore::StreamCore(MessagePort port, const PortStreamOptions& options)
    : options_(options),
      port_(std::move(port)),
      by_caller_(options.use == StreamUse::one_way && port_.can_receive()),
      receive_({.window_bytes = options.window, .tolerance_bytes = options.tolerance}) {
  check(options_);
  if (!by_caller_) attach();
}

StreamCore::~StreamCore() {
  {
    Lock lock(*this);
    closing_ = true;
    refuse_leftovers(lock);
    if (!by_caller_ && receive_.refusing()) linger(lock);
  }
  detach();  // from here on no handler makes a thread
  {
    const Lock lock(*this);
    rejecter_stops_ = true;
    notice();
  }
  if (rejecter_.joinable()) rejecter_.join();
}

void StreamCore::attach() {
  const Lock lock(*this);  // held until the previous handlers are known: ours may be called at once
  attached_ = true;
  previous_message_ = port_.on_message([this](std::span<const std::byte> message) {
    const Lock handling(*this);
    try {
      handle(message, false);
    } catch (const std::exception& failure) {  // no memory for the block
      ended_ = Status::broken;
      ended_text_ = failure.what();
    }
    notice();
  });
  previous_error_ = port_.on_error([this](const PortError& failure) {
    Lock handling(*this);
    ended_text_ = failure.text;
    const ErrorHandler previous = previous_error_;
    handling.unlock();
    if (previous) previous(failure);
  });
  previous_close_ = port_.on_close([this](Status reason) {
    Lock handling(*this);
    if (ended_ == Status::ok) ended_ = reason;
    notice();
    const CloseHandler previous = previous_close_;
    handling.unlock();
    if (previous) previous(reason);
  });
  port_.start();
}

/// Not with the mutex: a handler that runs may wait for it.
void StreamCore::detach() {
  MessageHandler message;
  ErrorHandler failure;
  CloseHandler ended;
  {
    const Lock lock(*this);
    if (!std::exchange(attached_, false)) return;
    message = previous_message_;
    failure = previous_error_;
    ended = previous_close_;
  }
  port_.on_message(std::move(message));
  port_.on_error(std::move(failure));
  port_.on_close(std::move(ended));
}

/// Wakes whoever waits for frames. With the mutex.
void StreamCore::notice() {
  ++frames_;
  changed_.notify_all();
}

StreamCore::Failure StreamCore::port_failure() const {
  switch (ended_) {
    case Status::closed:
      return {stream_errc::closed, "the port was closed", {}};
    case Status::peer_died:
      return {stream_errc::peer_died, "the peer died", {}};
    default:
      return {stream_errc::port_failed,
              "the port failed: " + std::string(to_string(ended_)) +
                  (ended_text_.empty() ? "" : ": " + ended_text_),
              {}};
  }
}

void StreamCore::fail(const Failure& failure, const std::string& what) {
  throw StreamError(failure.code, what + ": " + failure.text, failure.reason);
}

void StreamCore::handle(std::span<const std::byte> message, bool in_place) {
  const auto frame = stream::decode_frame(message);
  if (!frame) return;
  switch (frame->type) {
    case stream::FrameType::data:
      return on_data(*frame, in_place);
    case stream::FrameType::ack:
      return on_ack(*frame);
    case stream::FrameType::end:
    case stream::FrameType::error:
      return on_end(*frame);
  }
}

/// Reads one message, and handles it: waits until `*deadline`, not at all (and with the mutex held) where
/// that is null. False if none came.
bool StreamCore::pump(Lock& lock, const Deadline* deadline) {
  copy_in_place_items();
  if (deadline != nullptr) lock.unlock();
  const ReceivedBytes message = port_.receive_bytes(deadline);
  if (deadline != nullptr) lock.lock();
  if (message.status == Status::ok) {
    handle(message.bytes, take_in_place_);
    if (queue_.empty() || !queue_.back().in_place) port_.release_bytes();
    return true;
  }
  if (message.status != Status::would_block && message.status != Status::timed_out && ended_ == Status::ok)
    ended_ = message.status;
  return false;
}

/// Waits until a frame has come, the deadline, or a little while.
void StreamCore::read_or_wait(Lock& lock, Deadline deadline, const std::stop_token& stop) {
  if (by_caller_) {
    const Deadline look = next_look(deadline, stop);
    pump(lock, &look);
    return;
  }
  // A port that had ended before our handlers were set says nothing any more: leave what it may still
  // deliver a moment.
  const bool open = port_.is_open();
  const auto frames = frames_;
  const Deadline look = open ? deadline : std::min(deadline, deadline_in(kLastMessages));
  const bool noticed = changed_.wait_until(lock, stop, look, [&] { return frames != frames_; });
  if (!open && !noticed && ended_ == Status::ok) ended_ = Status::closed;
}

Status StreamCore::post(const stream::FrameHead& head, std::span<const std::byte> body,
                        const std::stop_token& stop) {
  // Where the calling thread reads the port, no other posts.
  std::unique_lock posting(posting_, std::defer_lock);
  if (!by_caller_) posting.lock();
  Status status = port_.post_parts_until(head.bytes(), body, Deadline::min());
  if (status != Status::timed_out && status != Status::would_block) [[likely]]
    return status;
  const Deadline deadline = deadline_in(options_.ack_timeout);
  do {
    if (status == Status::would_block) std::this_thread::yield();
    status = port_.post_parts_until(head.bytes(), body, next_look(deadline, stop));
  } while ((status == Status::timed_out || status == Status::would_block) && !stop.stop_requested() &&
           std::chrono::steady_clock::now() < deadline);
  return status;
}

void StreamCore::enter(bool& operation, const char* name) {
  if (closing_) throw error(errc::misuse, std::string(name) + " on a port stream that was closed");
  if (operation || (options_.use == StreamUse::one_way && (sending_ || receiving_))) {
    throw error(errc::misuse, std::string(name) + " on a port stream while another " +
                                  (operation ? name : "operation") + " is going on");
  }
  operation = true;
}

void StreamCore::close() {
  closing_ = true;
  if (by_caller_) return;  // noticed by the thread that is inside an operation, or the next one
  {
    Lock lock(*this);
    notice();
    if (sending_ || receiving_) return;  // they end by themselves; the destructor does the rest
    refuse_leftovers(lock);
  }
  detach();
}

}  // namespace sluice::detail

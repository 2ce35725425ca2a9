#include "stream_core.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "sluice/base/detail/cpu_pause.hpp"
#include "sluice/ring/detail/barrier.hpp"

namespace sluice::ipc {
namespace {

/// How soon a stop, a close or another operation is noticed by a wait on a port, which can't be woken for it:
/// in the first second of a wait, and then, so that a long wait costs next to nothing.
constexpr auto kLook = std::chrono::milliseconds(50);
constexpr auto kLaterLook = std::chrono::milliseconds(200);
constexpr unsigned kFirstLooks = 20;
/// How long a port that has ended may take to deliver its last messages.
constexpr auto kLastMessages = std::chrono::milliseconds(200);

Deadline next_look(Deadline deadline, unsigned& looks) {
  return std::min(deadline, deadline_in(looks++ < kFirstLooks ? kLook : kLaterLook));
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

StreamCore::StreamCore(AnyPort port, const PortStreamOptions& options, ipc::BlockId first_id)
    : options_(options),
      port_(std::move(port)),
      one_thread_(options.use == StreamUse::one_way && port_.can_receive()),
      polls_cheaply_(port_.polls_cheaply() && std::thread::hardware_concurrency() > 1),
      by_caller_(options.use != StreamUse::both_ways && port_.can_receive()),
      send_(first_id),
      receive_({.window_bytes = options.window, .tolerance_bytes = options.tolerance}, first_id) {
  check(options_);
  if (by_caller_) return;
  Lock lock(*this);
  attach(lock);
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

/// The mutex is held until the previous handlers are known: ours may be called at once.
void StreamCore::attach(Lock& /*lock*/) {
  attached_ = true;
  previous_message_ = port_.on_message([this](std::span<const std::byte> message) {
    const Lock handling(*this);
    try {
      if (const auto frame = ipc::decode_frame(message)) handle(*frame);
    } catch (const std::exception& failure) {  // no memory for the block
      ended_ = Status::broken;
      ended_text_ = failure.what();
    }
    notice();
  });
  previous_error_ = std::make_shared<ErrorHandler>(port_.on_error([this](const PortError& failure) {
    Lock handling(*this);
    ended_text_ = failure.text;
    const auto previous = previous_error_;
    handling.unlock();
    if (*previous) (*previous)(failure);
  }));
  previous_close_ = std::make_shared<CloseHandler>(port_.on_close([this](Status reason) {
    Lock handling(*this);
    if (ended_ == Status::ok) ended_ = reason;
    notice();
    const auto previous = previous_close_;
    handling.unlock();
    if (*previous) (*previous)(reason);
  }));
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
    message = std::move(previous_message_);
    // Not moved: our own handlers may be calling them until they are replaced below.
    if (*previous_error_) failure = [kept = previous_error_](const PortError& error) { (*kept)(error); };
    if (*previous_close_) ended = [kept = previous_close_](Status reason) { (*kept)(reason); };
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
    default: {
      const std::string why = ended_text_.empty() ? port_.failure_text() : ended_text_;
      return {stream_errc::port_failed,
              "the port failed: " + std::string(to_string(ended_)) + (why.empty() ? "" : ": " + why),
              {}};
    }
  }
}

void StreamCore::fail(const Failure& failure, const std::string& what) {
  throw StreamError(failure.code, what + ": " + failure.text, failure.reason);
}

/// Waits for a message, without the mutex, and handles it.
bool StreamCore::read_until(Lock& lock, Deadline deadline) {
  if (in_place_block_) copy_in_place_block();
  reading_ = true;
  lock.unlock();
  Message message = port_.receive_until(deadline);
  lock.lock();
  reading_ = false;
  return take(std::move(message));
}

/// Whether the next block of a stream comes within a few microseconds: cheaper than to do without. Now and
/// then only, since each look takes the line that the peer writes to away from it.
bool StreamCore::look_again() {
  constexpr int kLooks = 2;
  constexpr int kPauses = 64;
  if (!polls_cheaply_) return false;
  for (int look = 0; look < kLooks; ++look) {
    for (int pause = 0; pause < kPauses; ++pause) base::cpu_pause();
    if (poll()) return true;
  }
  return false;
}

/// Waits until a frame has come, the deadline, or a little while.
void StreamCore::read_or_wait(Lock& lock, Deadline deadline, const std::stop_token& stop) {
  if (by_caller_) {
    if (read_until(lock, next_look(deadline, looks_))) looks_ = 0;
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

/// There is no room: waits for it.
Status StreamCore::post_slowly(Status status, const ipc::FrameHead& head, std::span<const std::byte> body,
                               const std::stop_token& stop) {
  const Deadline deadline = deadline_in(options_.ack_timeout);
  unsigned looks = 0;
  do {
    if (status == Status::would_block) std::this_thread::yield();
    status = port_.post_parts_until(head.bytes(), body, next_look(deadline, looks));
  } while ((status == Status::timed_out || status == Status::would_block) && !closing_ &&
           !stop.stop_requested() && std::chrono::steady_clock::now() < deadline);
  return status;
}

void StreamCore::enter(Lock& lock, bool& operation, const char* name, const std::stop_token& stop) {
  if (closing_) throw error(errc::misuse, std::string(name) + " on a port stream that was closed");
  if (operation || (options_.use == StreamUse::one_way && (sending_ || receiving_))) {
    throw error(errc::misuse, std::string(name) + " on a port stream while another " +
                                  (operation ? name : "operation") + " is going on");
  }
  if (options_.use == StreamUse::adaptive && block_out_ && consumer_ == std::this_thread::get_id()) {
    throw error(errc::misuse, std::string(name) +
                                  " on a port stream while the same thread holds a block of it: that takes "
                                  "StreamUse::both_ways");
  }
  operation = true;
  if (!by_caller_ || !sending_ || !receiving_) return;
  try {
    change_to_delivery(lock, stop);
  } catch (...) {
    operation = false;
    throw;
  }
}

/// A second operation begins: from now on the port's delivery thread reads.
void StreamCore::change_to_delivery(Lock& lock, const std::stop_token& stop) {
  change_wanted_ = true;
  try {
    const auto free = [this] { return closing_ || (!reading_ && !(block_out_ && in_place_)); };
    if (!changed_.wait_until(lock, stop, deadline_in(options_.ack_timeout), free)) {
      fail({stop.stop_requested() ? stream_errc::cancelled : stream_errc::timed_out,
            "the receiving loop kept its block",
            {}},
           sent_so_far());
    }
    if (closing_) fail({stream_errc::cancelled, "stopped here", {}}, sent_so_far());
    if (in_place_block_) copy_in_place_block();
    message_in_place_.release();
    attach(lock);
    by_caller_ = false;
  } catch (...) {
    lock.unlock();
    detach();
    lock.lock();
    change_wanted_ = false;
    notice();
    throw;
  }
  change_wanted_ = false;
  notice();
}

/// Another operation waits until this one neither reads nor has a block in place: that is so now.
void StreamCore::let_change(Lock& lock) {
  changed_.notify_all();
  changed_.wait(lock, [this] { return !change_wanted_; });
}

void StreamCore::close() {
  closing_ = true;
  if (one_thread_) return;  // noticed by the thread that is inside an operation, or the next one
  {
    Lock lock(*this);
    notice();
    if (by_caller_ || sending_ || receiving_) return;  // what goes on ends by itself
    refuse_leftovers(lock);
  }
  detach();
}

}  // namespace sluice::ipc

#include "stream_reader.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "sluice/base/detail/cpu_pause.hpp"

namespace sluice::ipc {
namespace {

/// How soon a stop or a close is noticed by a wait on a port, which can't be woken for it: in the first
/// second of a wait, and then, so that a long wait costs next to nothing.
constexpr auto kLook = std::chrono::milliseconds(50);
constexpr auto kLaterLook = std::chrono::milliseconds(200);
constexpr unsigned kFirstLooks = 20;
/// How long a caller waits for room before it reads, while the other direction may need that to go on.
constexpr auto kReadAgain = std::chrono::milliseconds(1);
/// How long a port that has ended may take to deliver its last messages.
constexpr auto kLastMessages = std::chrono::milliseconds(200);

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

void throw_failure(const StreamFailure& failure, const std::string& so_far) {
  throw StreamError(failure.code, so_far + ": " + failure.text, failure.reason);
}

StreamReader::StreamReader(AnyPort port, const PortStreamOptions& options, BlockId first_id)
    : options_(options),
      port_(std::move(port)),
      can_read_(port_.can_receive()),
      polls_cheaply_(port_.polls_cheaply() && std::thread::hardware_concurrency() > 1),
      arrivals_({.window_bytes = options.window_bytes, .tolerance_bytes = options.tolerance_bytes}, first_id),
      handlers_(port_) {
  check(options_);
  if (can_read_) return;
  mutex_.join(Party::other);
  handlers_.set([this](std::span<const std::byte> message) { on_delivery(message); },
                [this](const PortError& failure) {
                  const Lock lock(mutex_, Party::other);
                  if (!rule_broken_) ended_text_ = failure.text;
                },
                [this](Status reason) {
                  const Lock lock(mutex_, Party::other);
                  end(reason);
                });
}

void StreamReader::on_delivery(std::span<const std::byte> message) {
  const Lock lock(mutex_, Party::other);
  if (rule_broken_) return;
  try {
    handle(message);
  } catch (const std::exception& failure) {  // no memory for the block
    ended_text_ = words_of(failure);
    end(Status::broken);
  }
  if (waiters_ != 0) notice();
}

void StreamReader::check_process() const {
  if (forked())
    throw error(errc::misuse, "port stream: it was inherited through fork(); only its maker may use it");
}

void StreamReader::enter(Lock& lock) {
  const Party party = lock.party();
  const std::string name = party == Party::sender ? "send" : "receive";
  if (closing()) throw error(errc::misuse, name + " on a port stream that was closed");
  if ((operations_ & bit(party)) != 0)
    throw error(errc::misuse, name + " on a port stream while another " + name + " is going on");
  const bool in_place = can_read_ && options_.reading == StreamReading::in_place;
  if (in_place && arrivals_.in_hand() && consumer_ == this_thread()) {
    throw error(errc::misuse, name +
                                  " on a port stream while the same thread holds a block of it: that takes "
                                  "StreamReading::copied");
  }
  set_operations(operations_ | bit(party));
  mutex_.join(party);
  posting_.join(party);
}

void StreamReader::leave(Lock& lock) noexcept {
  set_operations(operations_ & ~bit(lock.party()));
  mutex_.leave(lock.party());
  posting_.leave(lock.party());
  if (waiters_ != 0) notice();
}

void StreamReader::set_operations(unsigned operations) noexcept {
  operations_ = operations;
  leaves_in_place_ = options_.reading == StreamReading::in_place && alone(Party::receiver);
}

bool StreamReader::close() {
  *state_ = kClosing;
  const Lock lock(mutex_, Party::other);
  notice();
  return operations_ == 0;
}

void StreamReader::notice() {
  ++events_;
  changed_.notify_all();
}

void StreamReader::end(Status status) noexcept {
  if (ended_ == Status::ok) ended_ = status;
  news_.store(true, std::memory_order_relaxed);
  if (waiters_ != 0) notice();
}

void StreamReader::count_message(bool useful) {
  useless_ = useful ? 0 : useless_ + 1;
  if (useless_ >= kMaxUselessMessages) {
    break_rule("the peer sent " + std::to_string(useless_) +
               " messages in a row that have no effect: blocks of a refused stream, answers to nothing, or "
               "what is no frame");
  } else if (arrivals_.too_many_ends()) {
    break_rule("the peer sent more than " + std::to_string(kMaxUnreceivedEnds) +
               " streams that nobody received");
  }
}

void StreamReader::break_rule(std::string rule) {
  if (rule_broken_) return;
  rule_broken_ = true;
  ended_text_ = std::move(rule);
  end(Status::broken);
}

StreamFailure StreamReader::port_failure() const {
  if (rule_broken_) return {stream_errc::protocol, ended_text_};
  if (ended_ == Status::closed) return {stream_errc::closed, "the port was closed"};
  if (ended_ == Status::peer_died) return {stream_errc::peer_died, "the peer died"};
  const std::string why = ended_text_.empty() ? port_.failure_text() : ended_text_;
  return {stream_errc::port_failed,
          "the port failed: " + std::string(to_string(ended_)) + (why.empty() ? "" : ": " + why)};
}

void StreamReader::handle(std::span<const std::byte> message) {
  const auto frame = decode_frame(message);
  if (!frame) return count_message(false);
  switch (frame->type) {
    case FrameType::data:
      return count_message(arrivals_.on_data(frame->id, frame->payload));
    case FrameType::ack:  // the sender counts what it uses
      if (!answers_.add(frame->id, decode_answer(frame->payload))) return count_message(false);
      return news_.store(true, std::memory_order_relaxed);
    case FrameType::end:
    case FrameType::error:
      arrivals_.on_end(*frame);
      return count_message(true);
  }
}

void StreamReader::release_places() {
  if (!arrivals_.waits_in_place() && !arrivals_.in_hand_in_place()) return;
  if (arrivals_.waits_in_place()) arrivals_.keep_in_place_block();
  arrivals_.leave_place();
  in_place_.release();
  if (waiters_ != 0) notice();
}

/// Now and then only, since each look takes the line that the peer writes to away from it.
bool StreamReader::poll_again() {
  constexpr int kLooks = 2;
  constexpr int kPauses = 64;
  if (!polls_cheaply_) return false;
  for (int look = 0; look < kLooks; ++look) {
    for (int pause = 0; pause < kPauses; ++pause) base::cpu_pause();
    if (poll()) return true;
  }
  return false;
}

Deadline StreamReader::next_look(Deadline deadline, unsigned& looks) {
  return std::min(deadline, deadline_in(looks++ < kFirstLooks ? kLook : kLaterLook));
}

/// Waits in the port, without the lock.
bool StreamReader::read(Lock& lock, Deadline deadline) {
  if (arrivals_.waits_in_place()) arrivals_.keep_in_place_block();
  reading_ = true;
  lock.unlock();
  Message message = port_.receive_until(deadline);
  lock.lock();
  reading_ = false;
  if (waiters_ != 0) notice();
  return take(std::move(message));
}

/// Waits until the thread that reads has something.
void StreamReader::sleep(Lock& lock, Deadline deadline, const std::stop_token& stop) {
  // A port that had ended before our handlers were set says nothing any more: leave what it may still
  // deliver a moment.
  const bool open = can_read_ || port_.is_open();
  const Deadline look = open ? deadline : std::min(deadline, deadline_in(kLastMessages));
  const auto events = events_;
  const bool receives = lock.party() == Party::receiver;
  ++waiters_;
  receiver_waits_ = receiver_waits_ || receives;
  const bool noticed = changed_.wait_until(lock, stop, look, [&] { return events != events_; });
  --waiters_;
  if (receives) receiver_waits_ = false;
  if (!open && !noticed) end(port_.failure_text().empty() ? Status::closed : Status::broken);
}

Status StreamReader::post_slowly(Party party, const FrameHead& head, std::span<const std::byte> body,
                                 Deadline deadline, const std::stop_token& stop) {
  unsigned looks = 0;
  Status status = Status::would_block;
  do {
    Deadline look = next_look(deadline, looks);
    {
      const Lock lock(mutex_, party);
      (void)poll_some(party);
      if (rule_broken_) return Status::broken;
      if (can_read_ && !alone(party)) look = std::min(look, deadline_in(kReadAgain));
    }
    const BiasedLock posting(posting_, party);
    status = port_.post_parts_until(head.bytes(), body, look);
    if (status == Status::would_block) std::this_thread::yield();
  } while (is_full(status) && !closing() && !stop.stop_requested() &&
           std::chrono::steady_clock::now() < deadline);
  return status;
}

/// By one thread at a time: a rejection that another one overtakes would arrive after the stream is answered,
/// and meet the next one.
void StreamReader::flush_rejection(Lock& lock, Deadline deadline, const std::stop_token& stop) {
  if (rejecting_ || !arrivals_.rejection_due() || ended()) return;  // that thread takes ours, too
  rejecting_ = true;
  deadline = std::min(deadline, deadline_in(options_.ack_timeout));
  const BlockId id = *arrivals_.take_rejection();
  const std::string json = arrivals_.refusal_json();
  lock.unlock();
  Status status = Status::broken;
  try {
    status = post(lock.party(), FrameHead::rejected(id), std::as_bytes(std::span(json)), deadline, stop);
  } catch (...) {  // a port that throws
    lock.lock();
    rejecting_ = false;
    throw;
  }
  lock.lock();
  rejecting_ = false;
  if (is_full(status)) arrivals_.return_rejection(id);
}

}  // namespace sluice::ipc

#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include "inside_peer.hpp"
#include "live_peer_running.hpp"
#include "sluice/codec/error.hpp"

namespace sluice::codec {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

/// When to try again to send what the port had no room for.
constexpr auto kRetry = milliseconds(1);
/// How often a stop token is looked at.
constexpr auto kStopLook = milliseconds(10);
/// A request holds up other senders for this long while it waits for room.
constexpr auto kRoomWait = milliseconds(1);
/// How long the end of a peer waits for the other side to read what is kept for it.
constexpr auto kLastWords = milliseconds(1000);

}  // namespace

LivePeer::LivePeer(AnyPort port, const PeerOptions& options, std::shared_ptr<detail::RegistryState> registry)
    : port_(std::move(port)),
      pulls_(port_.can_receive()),
      ring_bytes_(port_.sent_history() ? port_.sent_history()->capacity_bytes() : 0),
      options_(options),
      registry_(std::move(registry)),
      outbox_(port_),
      replies_(options.max_calls),
      calls_(options.max_calls) {}

LivePeer::~LivePeer() {
  if (!pulls_) port_ = AnyPort();  // waits for its handlers, which use the rest
}

void LivePeer::open() {
  greet(false);
  if (pulls_) return;
  port_.on_message([this](std::span<const std::byte> message) { take_pushed(message); });
  port_.on_close([this](Status reason) { end(reason, port_.failure_text()); });
  port_.start();
}

void LivePeer::greet(bool answers) {
  FrameHead hello(FrameKind::hello, 6);
  hello.text(kFramesName)
      .number(kFramesMajor)
      .number(kFramesMinor)
      .id(options_.client)
      .number(answers ? 1 : 0);
  post(hello.bytes());
}

/// A message of a port that can't be asked for one.
void LivePeer::take_pushed(std::span<const std::byte> message) {
  runner_.store(std::this_thread::get_id(), std::memory_order_relaxed);  // one thread at a time comes here
  handle(message);
  count_handled();
  runner_.store({}, std::memory_order_release);
  tell_waiters();
}

// Running.

LivePeer::Turn::Turn(LivePeer& peer) noexcept : peer_(peer) {
  if (!peer.pulls_) return;
  const auto self = std::this_thread::get_id();
  taken_ = peer.runner_.compare_exchange_strong(before_, self, std::memory_order_acquire,
                                                std::memory_order_relaxed) ||
           before_ == self;
}

void LivePeer::Turn::leave() noexcept {
  if (!std::exchange(taken_, false)) return;
  peer_.runner_.store(before_);  // pairs with wait_for_runner
  if (peer_.waiters_ > 0) peer_.tell_waiters();
}

void LivePeer::tell_waiters() noexcept {
  const Lock lock(mutex_);
  progress_.notify_all();
}

/// Until when to wait at a time: the deadline, or the next look at the stop token.
Deadline LivePeer::next_look(Deadline deadline, const std::stop_token& stop) {
  return stop.stop_possible() ? std::min(deadline, Clock::now() + kStopLook) : deadline;
}

bool LivePeer::is_late(Deadline deadline) {
  return deadline != kNoDeadline && Clock::now() >= deadline;
}

/// Whether this thread must not run the peer once more within the methods and callbacks that it runs already.
bool LivePeer::runs_too_deep() const noexcept {
  return runner_.load(std::memory_order_relaxed) == std::this_thread::get_id() && depth_ > kDeepestCall;
}

void LivePeer::refuse_to_wait() {
  throw error(sluice::errc::misuse, "waiting within methods and callbacks within each other, " +
                                        std::to_string(kDeepestCall) + " deep");
}

void LivePeer::wait_for_runner(Deadline deadline, Lock& lock) {
  ++waiters_;
  if (!pulls_ || runner_ != std::thread::id{}) progress_.wait_until(lock, deadline);
  --waiters_;
}

/// Handles one frame: ok; would_block: there was something else to do; timed_out; or why the peer has ended.
Status LivePeer::step(Deadline deadline) {
  Deadline until = deadline;
  if (outbox_.kept_bytes() != 0 || ticker_.may_be_due()) {
    tick();
    if (outbox_.kept_bytes() > options_.max_kept_bytes) return wait_for_reader(deadline);
    until = std::min(until, ticker_.next());
    if (outbox_.kept_bytes() != 0) until = std::min(until, Clock::now() + kRetry);
  }
  stalled_since_ = kNoDeadline;  // the other side reads
  const Message message = port_.receive_until(until);
  if (message) {
    handle(message.bytes());
    count_handled();
    return Status::ok;
  }
  if (message.status() == Status::would_block) return Status::timed_out;
  if (message.status() != Status::timed_out) {
    end(message.status(), port_.failure_text());
    return message.status();
  }
  return until < deadline ? Status::would_block : Status::timed_out;
}

/// Reads nothing more until the other side has read what is kept for it.
Status LivePeer::wait_for_reader(Deadline deadline) {
  const Deadline now = Clock::now();
  if (stalled_since_ == kNoDeadline || outbox_.kept_bytes() < stalled_bytes_) {
    stalled_since_ = now;
    stalled_bytes_ = outbox_.kept_bytes();
  }
  if (now - stalled_since_ > options_.stall_timeout) {
    end(Status::broken, "the other side hasn't read for too long: " + std::to_string(stalled_bytes_) +
                            " bytes are kept for it");
    return Status::broken;
  }
  if (!port_.is_open()) return (end(Status::closed, {}), Status::closed);
  const Deadline until = std::min(deadline, now + kRetry);
  std::this_thread::sleep_until(until);
  return until == deadline ? Status::timed_out : Status::would_block;
}

Status LivePeer::poll() {
  while (run_once(Deadline{}) == Status::ok) {
  }
  return status();
}

Status LivePeer::run_once(Deadline deadline) {
  const std::uint64_t before = handled_;
  const bool done = run_until([&] { return handled_ != before || status_ != Status::ok; }, deadline);
  const Lock lock(mutex_);
  if (handled_ == before && status_ != Status::ok) return status_;
  return done ? Status::ok : Status::timed_out;
}

Status LivePeer::run() {
  if (runs_too_deep()) refuse_to_wait();
  Lock lock(mutex_);
  while (status_ == Status::ok) {
    if (Turn turn(*this); turn) {
      lock.unlock();
      take_frames([] { return false; }, kNoDeadline, {});
      turn.leave();
      lock.lock();
    } else {
      wait_for_runner(kNoDeadline, lock);
    }
  }
  return status_;
}

void LivePeer::start() {
  const Lock lock(mutex_);
  if (thread_) return;
  thread_.emplace([self = shared_from_this()] { (void)self->run(); });
  // The ticker's thread is joined before the peer goes: see shut_down().
  ticker_.run_by_itself([this] { tick(); });
}

void LivePeer::shut_down() noexcept {
  close();
  ticker_.stop();
  std::optional<std::thread> ended;
  {
    const Lock lock(mutex_);
    ended.swap(thread_);
  }
  if (!ended) return;
  if (ended->get_id() == std::this_thread::get_id()) {
    ended->detach();
  } else {
    ended->join();
  }
}

Status LivePeer::status() const {
  const Lock lock(mutex_);
  return status_;
}

std::string LivePeer::failure_text() const {
  const Lock lock(mutex_);
  return failure_text_;
}

void LivePeer::count_handled() noexcept {
  handled_.store(handled_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

/// What the other side asked for is over: calls are cancelled, streams detached.
void LivePeer::serve_no_longer() noexcept {
  std::map<Id, std::shared_ptr<ServedStream>> left;
  {
    const std::lock_guard lock(served_mutex_);
    left.swap(served_);
    count_served();
  }
  for (const auto& [id, stream] : left) leave(stream);
  replies_.cancel_all();
}

/// It is served no longer, but can be resumed.
void LivePeer::leave(const std::shared_ptr<ServedStream>& stream) noexcept {
  if (stream->hub().journal() != nullptr) {  // which is all that it takes to resume it
    stream->abandon();
    registry_->streams.forget(*stream);
  } else {
    stream->detach(*this);
    registry_->streams.retain(stream);
  }
}

/// Sends what is kept, if the other side reads it soon. A write that waits is ended by closing the port.
void LivePeer::deliver_kept() noexcept {
  if (outbox_.kept_bytes() == 0 || !port_.is_open()) return;
  if (!outbox_.drains_slowly()) return (void)outbox_.drain();
  try {
    std::thread drainer([this] { (void)outbox_.drain(); });
    const Deadline give_up = Clock::now() + kLastWords;
    while (outbox_.kept_bytes() != 0 && port_.is_open() && Clock::now() < give_up)
      std::this_thread::sleep_for(kRetry);
    port_.close();
    drainer.join();
  } catch (const std::system_error&) {  // there is no thread to be had
  }
}

void LivePeer::end(Status status, const std::string& text) noexcept {
  std::vector<std::shared_ptr<detail::Observation>> told;
  {
    Lock lock(mutex_);
    if (status_ != Status::ok) {
      lock.unlock();
      return serve_no_longer();  // what was added meanwhile
    }
    status_ = status;
    ended_.store(true, std::memory_order_relaxed);
    failure_text_ = text;
    for (auto& [id, observation] : observed_) {
      observation->ended = true;
      observation->ending = {status, StreamEnd::connection_closed, errc::peer_ended, text, {}};
      told.push_back(observation);
    }
    observed_.clear();
  }
  deliver_kept();
  port_.close();
  calls_are_over(text.empty() ? std::string(to_string(status)) : text);
  serve_no_longer();
  {
    const Lock lock(mutex_);
    progress_.notify_all();
  }
  const InsidePeer inside;
  for (const auto& observation : told) arrived(observation);
  if (options_.on_end) options_.on_end(status, text);
}

// Sending.

void LivePeer::posted() noexcept {
  if (outbox_.kept_bytes() != 0)
    ticker_.drain_at(outbox_.drains_slowly() ? Deadline{} : Clock::now() + kRetry);
}

Status LivePeer::try_post(std::span<const std::byte> head, std::span<const std::byte> body) {
  const Status result = outbox_.try_post(head, body);
  posted();
  return result;
}

void LivePeer::post(std::span<const std::byte> head) {
  (void)outbox_.post(head);
  posted();
}

/// The ring has what was written last, up to its capacity. Half of that is for whatever else is sent; more streams than
/// one would share the other half, so they keep their items themselves.
bool LivePeer::ring_holds(std::size_t bytes) const noexcept {
  return served_count_.load(std::memory_order_relaxed) == 1 && bytes <= ring_bytes_ / 2;
}

void LivePeer::recall(const Id& stream, const TakeSent& take) const {
  auto history = port_.sent_history();
  if (!history) return;
  std::vector<std::byte> message;
  ring::Sequence number = 0;
  while (history->next(message, number) == Status::ok) {
    FrameReader frame(message);
    if (frame.array() != 8 || frame.number() != static_cast<std::uint64_t>(FrameKind::stream_data)) continue;
    if (frame.id() != stream) continue;
    const std::uint64_t sequence = frame.number();
    const auto time_ns = static_cast<std::int64_t>(frame.number());
    frame.number();  // place
    const bool whole = frame.number() == static_cast<std::uint64_t>(StreamForm::full);
    frame.number();  // base
    if (frame.ok() && whole) take(sequence, time_ns, frame.rest());
  }
}

void LivePeer::tick_at(const std::shared_ptr<ServedStream>& stream, Deadline when) {
  ticker_.add(stream, when);
}

void LivePeer::tick() noexcept {
  (void)outbox_.drain();
  const Deadline now = Clock::now();
  for (const auto& stream : ticker_.take(now)) stream->tick(now);
  posted();
}

/// Posts what the user's own call asks for, and waits for room. Runs the peer meanwhile, or leaves that to the runner.
Status LivePeer::post_request(std::span<const std::byte> head, std::span<const std::byte> body,
                              Deadline deadline) {
  Status posted_now = outbox_.post_until(head, body, Deadline{});
  for (;;) {
    if (posted_now != Status::would_block) {
      posted();
      if (outbox_.drains_slowly() && !ticker_.runs_by_itself()) (void)outbox_.drain();
      return posted_now;
    }
    const Deadline now = Clock::now();
    if (now >= deadline) return Status::timed_out;
    run_until([&] { return status_ != Status::ok; }, std::min(deadline, now + kRetry));
    if (const Status ended = status(); ended != Status::ok) return ended;
    posted_now = outbox_.post_until(head, body, std::min(deadline, Clock::now() + kRoomWait));
  }
}

void LivePeer::answer(const Id& call, std::span<const std::byte> value) noexcept {
  FrameHead head(FrameKind::result, 3);
  head.id(call);
  if (outbox_.post(head.bytes(), value) == Status::too_large) {
    answer_error(call, RemoteCode::too_large,
                 "a result of " + std::to_string(value.size()) + " bytes doesn't fit into the port");
  }
  posted();
}

void LivePeer::answer_error(const Id& call, RemoteCode code, std::string_view text) noexcept {
  FrameHead head(FrameKind::call_error, 4);
  head.id(call).number(static_cast<std::uint64_t>(code)).text(text);
  post(head.bytes());
}

}  // namespace sluice::codec

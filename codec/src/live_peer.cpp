#include "live_peer.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include "inside_peer.hpp"
#include "names.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"
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

detail::CallFailure ended_failure(const std::string& text) {
  return {errc::peer_ended, text, {}};
}

/// Of a call that isn't waited for any longer.
detail::CallFailure given_up(const std::stop_token& stop) {
  if (stop.stop_requested()) return {errc::cancelled, "a call", {}};
  return {sluice::errc::timed_out, "a call: no answer yet", {}};
}

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

template <typename Ready>
bool LivePeer::take_frames(Ready ready, Deadline deadline, const std::stop_token& stop) {
  while (!ready()) {
    const Status stepped = step(next_look(deadline, stop));
    if (waiters_.load(std::memory_order_relaxed) > 0) tell_waiters();
    if (stop.stop_requested() || is_late(deadline)) return ready();
    if (stepped != Status::ok && stepped != Status::would_block && stepped != Status::timed_out)
      return ready();
  }
  return true;
}

template <typename Ready>
bool LivePeer::run_until(Ready ready, Deadline deadline, const std::stop_token& stop) {
  owner.check("a peer");
  Lock lock(mutex_);
  while (!ready()) {
    if (stop.stop_requested()) return false;
    Status stepped = Status::timed_out;
    if (Turn turn(*this); turn) {
      lock.unlock();
      stepped = step(next_look(deadline, stop));
      turn.leave();
      lock.lock();
    } else if (deadline != Deadline{}) {
      if (runner_.load(std::memory_order_relaxed) == std::this_thread::get_id())
        throw error(sluice::errc::misuse, "a method that waits, on a port without receive()");
      wait_for_runner(next_look(deadline, stop), lock);
    }
    if ((stepped != Status::ok || deadline != Deadline{}) && is_late(deadline)) return ready();
  }
  return true;
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

void LivePeer::calls_are_over(const std::string& text) noexcept {
  Lock lock(mutex_);
  calls_.fail_all(ended_failure(text), lock);
}

/// What the other side asked for is over: calls are cancelled, streams detached.
void LivePeer::serve_no_longer() noexcept {
  replies_.cancel_all();
  std::map<Id, std::shared_ptr<ServedStream>> left;
  {
    const std::lock_guard lock(served_mutex_);
    left.swap(served_);
    count_served();
  }
  for (const auto& [id, stream] : left) leave(stream);
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

/// If another thread has ended this peer while the stream was being started, it may not have found it attached.
void LivePeer::leave_if_ended(const std::shared_ptr<ServedStream>& stream) noexcept {
  if (ended_.load(std::memory_order_relaxed)) leave(stream);
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
    const Lock lock(mutex_);
    if (status_ != Status::ok) return;
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

// Calls.

namespace {

[[noreturn]] void throw_not_posted(Status status, std::size_t bytes, const std::string& text) {
  if (status == Status::timed_out) throw error(sluice::errc::timed_out, "a call: no room in the port");
  if (status == Status::too_large) {
    throw error(sluice::errc::bad_option,
                "arguments of " + std::to_string(bytes) + " bytes: they don't fit into the port");
  }
  throw error(errc::peer_ended, text.empty() ? std::string(to_string(status)) : text);
}

}  // namespace

void LivePeer::begin(detail::PendingCall& call, std::string_view actor, std::string_view method,
                     std::span<const std::byte> arguments, Deadline deadline) {
  Lock lock(mutex_);
  while (calls_.full() && status_ == Status::ok) {
    lock.unlock();
    if (!run_until([&] { return !calls_.full() || status_ != Status::ok; }, deadline))
      throw error(sluice::errc::timed_out, "a call: too many are in flight");
    lock.lock();
  }
  if (status_ != Status::ok) throw_not_posted(status_, 0, failure_text_);
  const Id id = calls_.add(call, lock);
  lock.unlock();
  try {
    post_call(id, actor, method, arguments, deadline);
  } catch (...) {
    Id removed;
    lock.lock();
    calls_.remove(call, removed, lock);
    throw;
  }
}

void LivePeer::post_call(const Id& id, std::string_view actor, std::string_view method,
                         std::span<const std::byte> arguments, Deadline deadline) {
  check_name("actor", actor);
  check_name("method", method);
  FrameHead head(FrameKind::call, 5);
  head.id(id).text(actor).text(method);
  const Status posted_now = post_request(head.bytes(), arguments, deadline);
  if (posted_now != Status::ok) throw_not_posted(posted_now, arguments.size(), failure_text());
}

LivePeer::Awaited::Awaited(LivePeer& peer, detail::PendingCall& waiting) noexcept
    : call(waiting),
      id(peer.next_awaited_),
      innermost(peer.awaited_),
      outer(std::exchange(peer.awaited_, this)) {
  std::uint64_t count = 0;
  std::memcpy(&count, id.data() + 8, sizeof count);
  ++count;
  std::memcpy(peer.next_awaited_.data() + 8, &count, sizeof count);
}

/// Frequent, so the thread that runs the peer, or can, takes no lock but that for posting.
void LivePeer::call(detail::PendingCall& call, std::string_view actor, std::string_view method,
                    std::span<const std::byte> arguments, Deadline deadline, const std::stop_token& stop) {
  const Turn turn(*this);
  if (!turn) {
    begin(call, actor, method, arguments, deadline);
    return finish(call, deadline, stop);
  }
  Awaited awaited(*this, call);
  const auto over = [&] { return awaited.answered || ended_.load(std::memory_order_relaxed); };
  if (!over()) post_call(awaited.id, actor, method, arguments, deadline);
  if (!take_frames(over, deadline, stop)) {
    post_cancel(awaited.id);
    call.failure = given_up(stop);
  } else if (!awaited.answered) {
    const Lock lock(mutex_);
    call.failure = ended_failure(failure_text_.empty() ? std::string(to_string(status_)) : failure_text_);
  }
}

void LivePeer::send(std::string_view actor, std::string_view method, std::span<const std::byte> arguments) {
  check_name("actor", actor);
  check_name("method", method);
  FrameHead head(FrameKind::send, 4);
  head.text(actor).text(method);
  const Status posted_now = post_request(head.bytes(), arguments, kNoDeadline);
  if (posted_now != Status::ok) throw_not_posted(posted_now, arguments.size(), failure_text());
}

bool LivePeer::done(const detail::PendingCall& call) {
  owner.check("a peer");
  const Lock lock(mutex_);
  return detail::CallTable::done(call);
}

bool LivePeer::wait(detail::PendingCall& call, Deadline deadline) {
  return run_until([&] { return detail::CallTable::done(call); }, deadline);
}

void LivePeer::finish(detail::PendingCall& call, Deadline deadline, const std::stop_token& stop) {
  try {
    if (run_until([&] { return detail::CallTable::done(call); }, deadline, stop)) return;
  } catch (...) {  // it can't be waited for here
    drop(call);
    throw;
  }
  drop(call);
  const Lock lock(mutex_);
  if (!detail::CallTable::done(call)) call.failure = given_up(stop);
}

void LivePeer::finish_later(std::unique_ptr<detail::PendingCall> call) {
  owner.check("a peer");
  Lock lock(mutex_);
  calls_.own(std::move(call), lock);
}

void LivePeer::drop(detail::PendingCall& call) noexcept {
  if (inherited()) return;
  Id id;
  {
    Lock lock(mutex_);
    if (!calls_.remove(call, id, lock)) return;
    if (status_ != Status::ok) return;
  }
  post_cancel(id);
}

void LivePeer::post_cancel(const Id& id) noexcept {
  FrameHead head(FrameKind::cancel, 2);
  head.id(id);
  post(head.bytes());
}

// Observing.

namespace {

FrameHead start_frame(const detail::Observation& observation) {
  FrameHead head(FrameKind::stream_start, 5);
  head.id(observation.stream).text(observation.actor).text(observation.state);
  return head;
}

FrameHead resume_frame(const detail::Observation& observation) {
  FrameHead head(FrameKind::stream_resume, 10);
  head.id(observation.stream).number(observation.received).number(observation.place);
  head.number(observation.ticket.start).id(observation.ticket.seal).id(observation.next_stream);
  head.text(observation.actor).text(observation.state);
  return head;
}

}  // namespace

std::shared_ptr<detail::Observation> LivePeer::observe(detail::ObservationStart start) {
  owner.check("a peer");
  auto observation = std::make_shared<detail::Observation>();
  observation->actor = std::move(start.actor);
  observation->state = std::move(start.state);
  observation->options = std::move(start.options);
  observation->delta = start.delta;
  observation->window = start.window;
  observation->stream = start.stream.value_or(random_id());
  observation->next_stream = random_id();
  observation->received = start.last;
  observation->place = observation->handed_place = start.place;
  observation->ticket = start.ticket;
  observation->handed_stream = observation->stream;
  observation->handed = start.last;
  observation->granted = start.last + start.window;
  const bool resumes = start.stream.has_value();
  Status status;
  std::string text;
  {
    const Lock lock(mutex_);
    status = status_;
    text = failure_text_;
    if (status == Status::ok && !observed_.emplace(observation->stream, observation).second)
      throw error(sluice::errc::misuse, "a stream that this peer observes already");
  }
  if (status == Status::ok) {
    const FrameHead head = resumes ? resume_frame(*observation) : start_frame(*observation);
    status = post_request(head.bytes(), observation->options, kNoDeadline);
  }
  if (status != Status::ok) {
    const Lock lock(mutex_);
    observed_.erase(observation->stream);
    observation->ended = true;
    observation->ending = {status, StreamEnd::connection_closed, errc::peer_ended, text, {}};
  }
  return observation;
}

/// Asks a process that has taken the place of the other side's for the streams that the one before sent. What has
/// arrived is consumed first, so that one process after the other can't make it grow.
void LivePeer::observe_again() {
  std::vector<std::shared_ptr<detail::Observation>> observed;
  {
    const Lock lock(mutex_);
    for (const auto& [id, observation] : observed_) {
      observation->ask_again = true;
      observed.push_back(observation);
    }
  }
  for (const auto& observation : observed) ask_again(*observation);
}

void LivePeer::ask_again(detail::Observation& observation) {
  std::optional<FrameHead> head;
  {
    const Lock lock(mutex_);
    if (!observation.ask_again || !observation.arrived.empty() || observation.ended) return;
    observation.ask_again = false;
    observation.granted = observation.received + observation.window;
    ++observation.awaited_verdicts;
    head.emplace(resume_frame(observation));
  }
  (void)outbox_.post(head->bytes(), observation.options);
  posted();
}

Status LivePeer::next(detail::Observation& observation, detail::ArrivedItem& item, Deadline deadline) {
  const bool ready = run_until([&] { return !observation.arrived.empty() || observation.ended; }, deadline);
  if (!ready) return Status::timed_out;
  Lock lock(mutex_);
  if (observation.arrived.empty()) return observation.ending.status;
  item = std::move(observation.arrived.front());
  observation.arrived.pop_front();
  observation.handed_stream = item.stream;
  observation.handed = item.sequence;
  observation.handed_place = item.place;
  const bool again = observation.ask_again;
  lock.unlock();
  if (again) ask_again(observation);
  return Status::ok;
}

void LivePeer::consumed(detail::Observation& observation, const detail::ArrivedItem& item) {
  owner.check("a peer");
  FrameHead head(FrameKind::credit, 3);
  {
    const Lock lock(mutex_);
    if (observation.ended || item.stream != observation.stream) return;
    const std::uint64_t up_to = item.sequence + observation.window;
    if (up_to < observation.granted + (observation.window + 1) / 2) return;
    observation.granted = up_to;
    head.id(observation.stream).number(up_to);
  }
  post(head.bytes());
}

void LivePeer::want_full(detail::Observation& observation, const detail::ArrivedItem& item) {
  owner.check("a peer");
  FrameHead head(FrameKind::want_full, 3);
  {
    const Lock lock(mutex_);
    if (observation.ended || item.stream != observation.stream) return;
    head.id(observation.stream).number(item.sequence);
  }
  post(head.bytes());
}

void LivePeer::call_on_arrival(const std::shared_ptr<detail::Observation>& observation,
                               base::MoveOnlyFunction<void()> call) {
  owner.check("a peer");
  {
    const Lock lock(mutex_);
    observation->on_arrival = std::move(call);
  }
  arrived(observation);
}

void LivePeer::unsubscribe(detail::Observation& observation, bool tell) noexcept {
  if (inherited()) return;
  FrameHead head(FrameKind::unsubscribe, 2);
  {
    const Lock lock(mutex_);
    if (observation.ended) return;
    observation.ended = true;
    observation.ending.reason = StreamEnd::client_unsubscribed;
    observed_.erase(observation.stream);
    head.id(observation.stream);
  }
  if (tell) post(head.bytes());
}

std::optional<Verdict> LivePeer::verdict(const detail::Observation& observation) {
  owner.check("a peer");
  const Lock lock(mutex_);
  return observation.verdict;
}

detail::Ending LivePeer::ending(const detail::Observation& observation) {
  owner.check("a peer");
  const Lock lock(mutex_);
  return observation.ending;
}

StreamCheckpoint LivePeer::checkpoint(const detail::Observation& observation) {
  owner.check("a peer");
  StreamCheckpoint checkpoint;
  checkpoint.session = options_.client;
  detail::PackBuffer target;
  const Lock lock(mutex_);
  checkpoint.stream = observation.handed_stream;
  checkpoint.sequence = observation.handed;
  checkpoint.position = observation.handed == 0 ? observation.ticket.start : observation.handed_place;
  target.pack_array(observation.actor, observation.state, observation.window, text_of(observation.options),
                    observation.ticket.start, text_of(std::as_bytes(std::span(observation.ticket.seal))));
  checkpoint.target = text_of(target.bytes());
  return checkpoint;
}

}  // namespace sluice::codec

// The streams that a peer observes.
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bad_frame.hpp"
#include "inside_peer.hpp"
#include "live_peer_running.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/detail/pack_buffer.hpp"
#include "sluice/codec/error.hpp"

namespace sluice::codec {

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
    observation.arrived.clear();  // nobody takes it, so nobody must be called for it
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

// What comes of them.

void LivePeer::handle_verdict(FrameReader& frame) {
  const Id id = frame.id();
  const Verdict verdict{static_cast<StreamVerdict>(frame.number()), frame.number(), frame.number()};
  const StreamTicket ticket{frame.number(), frame.id()};
  expect(frame.whole() && verdict.kind <= StreamVerdict::restarted, "a verdict of another form");
  const Lock lock(mutex_);
  const auto found = observed_.find(id);
  if (found == observed_.end()) return;
  const auto observation = found->second;
  expect(observation->awaited_verdicts > 0, "a verdict that nobody asked for");
  --observation->awaited_verdicts;
  observation->ticket = ticket;
  switch (verdict.kind) {
    case StreamVerdict::started:
      observation->place = ticket.start;
      break;
    case StreamVerdict::resumed:
      expect(verdict.first == observation->received + 1, "a resumption at another item");
      break;
    case StreamVerdict::gap:
      expect(verdict.first == observation->received + 1 && verdict.last >= verdict.first,
             "a gap at another item");
      observation->received = verdict.last;
      observation->granted = verdict.last + observation->window;
      break;
    case StreamVerdict::restarted:
      observed_.erase(found);
      observation->stream = observation->next_stream;
      observation->next_stream = random_id();
      observation->received = 0;
      observation->place = ticket.start;
      observation->granted = observation->window;
      observed_.emplace(observation->stream, observation);
      break;
  }
  observation->verdict = verdict;
}

void LivePeer::handle_data(FrameReader& frame) {
  detail::ArrivedItem item;
  item.stream = frame.id();
  item.sequence = frame.number();
  item.time_ns = static_cast<std::int64_t>(frame.number());
  item.place = frame.number();
  item.form = static_cast<StreamForm>(frame.number());
  item.base = frame.number();
  expect(frame.ok() && item.form <= StreamForm::own_delta, "an item of another form");
  std::shared_ptr<detail::Observation> observation;
  {
    const Lock lock(mutex_);
    const auto found = observed_.find(item.stream);
    if (found == observed_.end()) return;  // unsubscribed meanwhile
    observation = found->second;
    if (observation->awaited_verdicts > 0)
      return;  // it was sent before the verdict, which tells where to go on
    if (item.sequence <= observation->received) return;  // it came before
    expect(item.sequence == observation->received + 1, "an item out of order");
    expect(item.sequence <= observation->granted, "an item beyond the credit");
    observation->received = item.sequence;
    observation->place = item.place;
    item.data.assign(frame.rest().begin(), frame.rest().end());
    observation->arrived.push_back(std::move(item));
  }
  arrived(observation);
}

void LivePeer::handle_stream_ending(FrameKind kind, FrameReader& frame) {
  const Id id = frame.id();
  const auto number = frame.number();
  detail::Ending ending;
  if (kind == FrameKind::stream_end) {
    ending.reason = number <= 4 ? static_cast<StreamEnd>(number) : StreamEnd::error;
  } else {
    ending.reason = StreamEnd::error;
    ending.code = errc::remote;
    ending.remote = static_cast<RemoteCode>(number);
    ending.text = base::printable(frame.text(kMaxTextBytes));
    ending.text = ending.text.empty() ? std::string(to_string(*ending.remote))
                                      : std::string(to_string(*ending.remote)) + ": " + ending.text;
  }
  expect(frame.whole(), "a stream's end of another form");
  std::shared_ptr<detail::Observation> observation;
  {
    const Lock lock(mutex_);
    const auto found = observed_.find(id);
    if (found == observed_.end()) return;
    observation = found->second;
    observed_.erase(found);
    observation->ended = true;
    observation->ending = std::move(ending);
  }
  arrived(observation);
}

/// Calls the stream's callback, if it has one.
void LivePeer::arrived(const std::shared_ptr<detail::Observation>& told) noexcept {
  const auto observation = told;  // the callback may destroy the stream, and with it what this refers to
  base::MoveOnlyFunction<void()> call;
  {
    const Lock lock(mutex_);
    call = std::move(observation->on_arrival);
  }
  if (!call) return;  // there is none; or it runs, and sees what has come
  const auto failed = [&](std::string words) {
    unsubscribe(*observation, true);
    const Lock lock(mutex_);
    observation->ending = {Status::handler_failed, StreamEnd::error, {}, std::move(words), {}};
  };
  try {
    const InsidePeer inside;
    for (;;) {
      call();
      const Lock lock(mutex_);
      if (!observation->arrived.empty()) continue;  // it came while nobody would have been called for it
      if (!observation->on_arrival) observation->on_arrival = std::move(call);
      return;
    }
  } catch (const std::exception& failure) {
    failed(words_of(failure));
  } catch (...) {
    failed("an unknown exception");
  }
}

}  // namespace sluice::codec

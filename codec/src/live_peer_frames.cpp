// What a peer does with each frame that comes. docs/formats/frames.md says what is in them.
#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include "bad_frame.hpp"
#include "inside_peer.hpp"
#include "live_peer.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/error.hpp"
#include "stream_ticket.hpp"

namespace sluice::codec {
namespace {

/// Items of a frame, its kind included.
constexpr std::array<std::uint64_t, kLastFrameKind + 1> kItems{6, 5, 3, 4, 2, 4, 5, 10,
                                                               7, 8, 3, 4, 3, 3, 2, 2};

}  // namespace

void LivePeer::handle(std::span<const std::byte> message) {
  const InsidePeer inside;
  if (depth_ == levels_.size()) {
    DecodeOptions decode = options_.decode;
    decode.in_place = true;  // the level has a private copy, or none is wanted
    levels_.push_back(std::make_unique<Level>(decode));
  }
  Level& level = *levels_[depth_];
  struct Deeper {
    explicit Deeper(std::size_t& depth) : depth_(depth) { ++depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;
    ~Deeper() { --depth_; }
    std::size_t& depth_;
  } const deeper(depth_);
  try {
    if (message.size() > options_.decode.max_bytes) {
      throw BadFrame{"a frame of " + std::to_string(message.size()) + " bytes: expected at most " +
                     std::to_string(options_.decode.max_bytes)};
    }
    if (!options_.decode.in_place) {
      if (level.copy.size() < message.size()) level.copy.resize(message.size());
      if (!message.empty()) std::memcpy(level.copy.data(), message.data(), message.size());
      message = std::span(level.copy).first(message.size());
    }
    FrameReader frame(message);
    const auto items = frame.array();
    const auto kind = frame.number();
    expect(frame.ok() && items > 0 && message[1] < std::byte{0x80}, "no frame");
    if (kind != 0 && !greeted_) return;  // meant for the process before this one
    if (kind > kLastFrameKind) {
      if (other_minor_ <= kFramesMinor) throw BadFrame{"a frame of the unknown kind " + std::to_string(kind)};
      return;
    }
    if (kind == 0) return handle_hello(items, frame);
    expect(items == kItems[kind], "a frame with a wrong number of items");
    handle_frame(static_cast<FrameKind>(kind), frame, level);
  } catch (...) {
    break_off_by_exception();
  }
}

/// Tells the other side why, and ends.
void LivePeer::break_off(const std::string& text) noexcept {
  FrameHead head(FrameKind::refusal, 2);
  head.text(text);
  post(head.bytes());
  end(Status::broken, text);
}

/// The same in a catch clause: for what was thrown.
void LivePeer::break_off_by_exception() noexcept {
  try {
    throw;
  } catch (const BadFrame& bad) {
    break_off(bad.text);
  } catch (const std::exception& failure) {
    break_off(words_of(failure));
  } catch (...) {
    break_off("an unknown exception");
  }
}

void LivePeer::handle_frame(FrameKind kind, FrameReader& frame, Level& level) {
  switch (kind) {
    case FrameKind::hello:
      return;  // handled before
    case FrameKind::call:
      return handle_call(frame, level);
    case FrameKind::result: {
      const Id id = frame.id();
      expect(frame.ok(), "a result without an id");
      if (Awaited* const waiting = awaited(id)) {
        detail::take_answer(waiting->call, frame.rest(), level.decoder);
        waiting->answered = true;
        return;
      }
      Lock lock(mutex_);
      calls_.complete(id, frame.rest(), level.decoder, lock);
      return;
    }
    case FrameKind::call_error: {
      const Id id = frame.id();
      const auto code = static_cast<RemoteCode>(frame.number());
      const std::string text = base::printable(frame.text(kMaxTextBytes));
      expect(frame.whole(), "a call's error of another form");
      detail::CallFailure failure{errc::remote, text.empty() ? std::string(to_string(code)) : text, code};
      if (Awaited* const waiting = awaited(id)) {
        waiting->call.failure = std::move(failure);
        waiting->answered = true;
        return;
      }
      Lock lock(mutex_);
      calls_.fail(id, failure, lock);
      return;
    }
    case FrameKind::cancel: {
      const Id id = frame.id();
      expect(frame.whole(), "a cancel frame of another form");
      return replies_.cancel(id);
    }
    case FrameKind::send:
      return handle_send(frame, level);
    case FrameKind::stream_start:
    case FrameKind::stream_resume:
      kind == FrameKind::stream_start ? handle_stream_start(frame) : handle_stream_resume(frame);
      if (is_over()) serve_no_longer();  // whoever ended the peer may have missed this stream
      return;
    case FrameKind::stream_verdict:
      return handle_verdict(frame);
    case FrameKind::stream_data:
      return handle_data(frame);
    case FrameKind::stream_end:
    case FrameKind::stream_error:
      return handle_stream_ending(kind, frame);
    case FrameKind::credit: {
      const Id id = frame.id();
      const auto up_to = frame.number();
      expect(frame.whole(), "a credit frame of another form");
      if (const auto stream = served(id)) stream->grant(up_to);
      return;
    }
    case FrameKind::want_full: {
      const Id id = frame.id();
      frame.number();
      expect(frame.whole(), "a want_full frame of another form");
      if (const auto stream = served(id)) stream->want_full();
      return;
    }
    case FrameKind::unsubscribe: {
      const Id id = frame.id();
      expect(frame.whole(), "an unsubscribe frame of another form");
      std::shared_ptr<ServedStream> stream;
      {
        const std::lock_guard lock(served_mutex_);
        const auto found = served_.find(id);
        if (found == served_.end()) return;
        stream = std::move(found->second);
        served_.erase(found);
        count_served();
      }
      stream->end(StreamEnd::client_unsubscribed);
      return registry_->streams.forget(*stream);
    }
    case FrameKind::refusal: {
      const std::string text = "the other side broke off: " + base::printable(frame.text(kMaxTextBytes));
      return end(Status::broken, text);
    }
  }
}

void LivePeer::handle_hello(std::uint64_t items, FrameReader& frame) {
  const auto name = frame.text(kFramesName.size());
  const auto major = frame.number();
  const auto minor = frame.number();
  expect(frame.ok() && name == kFramesName, "a hello of another form");
  if (major != kFramesMajor) {
    throw BadFrame{"frames of version " + std::to_string(major) + "." + std::to_string(minor) +
                   ": expected version " + std::to_string(kFramesMajor) + "." + std::to_string(kFramesMinor)};
  }
  const Id client = frame.id();
  const bool answers = frame.number() != 0;
  expect(frame.ok() && (minor > kFramesMinor ? items >= kItems[0] : items == kItems[0] && frame.whole()),
         "a hello of another form");
  // If it isn't the first: the port lived on (it belongs to a session), and the process at one end is a new one.
  const bool first = !std::exchange(greeted_, true);
  const bool other_side_is_new = !first && !answers;
  other_client_ = client;
  other_minor_ = minor;
  if (other_side_is_new) {
    greet(true);
    observe_again();
  }
  if (!first) serve_no_longer();
  if (other_side_is_new) {  // last: callbacks may call the new process, and so run this peer
    const std::string why = "the other side began anew";
    for (Awaited* each = awaited_; each != nullptr; each = each->outer) {
      if (std::exchange(each->answered, true)) continue;
      each->call.failure = {errc::peer_ended, why, {}};
    }
    calls_are_over(why);
  }
}

// Serving streams.

std::shared_ptr<ServedStream> LivePeer::served(const Id& id) {
  const std::lock_guard lock(served_mutex_);
  const auto found = served_.find(id);
  return found == served_.end() ? nullptr : found->second;
}

void LivePeer::refuse_stream(const Id& asked, RemoteCode code, std::string_view text) {
  post(stream_error_frame(asked, code, text).bytes());
}

/// Null if there is no such state, which the other side is told.
std::shared_ptr<detail::StateHub> LivePeer::find_state(const StreamRequest& request) {
  const auto table = registry_->table();
  const auto found = table->actors.find(request.actor);
  if (found == table->actors.end()) {
    refuse_stream(request.asked, RemoteCode::no_such_actor, base::quoted_text(request.actor));
    return nullptr;
  }
  const auto member = found->second.states.find(request.state);
  if (member != found->second.states.end()) return member->second;
  refuse_stream(request.asked, RemoteCode::no_such_member, target_text(Target{request.actor, request.state}));
  return nullptr;
}

/// A stream that is to be started. Null if it can't be, which the other side is told.
std::shared_ptr<ServedStream> LivePeer::add_stream(const StreamRequest& request, const Id& id,
                                                   const std::shared_ptr<detail::StateHub>& hub) {
  std::shared_ptr<ServedStream> stream;
  try {
    stream = std::make_shared<ServedStream>(id, other_client_, std::string(request.actor),
                                            std::string(request.state), hub,
                                            read_stream_options(request.options, options_.decode));
  } catch (const error& wrong) {
    refuse_stream(request.asked, RemoteCode::bad_options, wrong.detail());
    return nullptr;
  }
  const std::lock_guard lock(served_mutex_);
  std::erase_if(served_, [](const auto& entry) { return entry.second->is_over(); });
  if (served_.size() >= options_.max_streams) {
    refuse_stream(request.asked, RemoteCode::too_many, std::to_string(served_.size()) + " streams");
    return nullptr;
  }
  if (!registry_->streams.add(stream)) {
    refuse_stream(request.asked, RemoteCode::duplicate_stream, {});
    return nullptr;
  }
  served_.emplace(id, stream);
  count_served();
  return stream;
}

/// It sends nothing more, and can't be resumed.
void LivePeer::drop_stream(ServedStream& stream) noexcept {
  {
    const std::lock_guard lock(served_mutex_);
    served_.erase(stream.id());
    count_served();
  }
  stream.abandon();
  registry_->streams.forget(stream);
}

/// Starts a stream, under the id `fresh` if it takes the place of one that can't be resumed.
void LivePeer::start_stream(const StreamRequest& request, const Id& id) {
  const auto hub = find_state(request);
  if (!hub) return;
  StreamTicket ticket;
  if (hub->journal() != nullptr) ticket = make_ticket(*hub->journal(), id, other_client_);
  const auto stream = add_stream(request, id, hub);
  if (!stream) return;
  const auto verdict = id == request.asked ? StreamVerdict::started : StreamVerdict::restarted;
  post(verdict_frame(request.asked, {verdict}, ticket).bytes());
  stream->start(*this);
}

void LivePeer::handle_stream_start(FrameReader& frame) {
  const Id id = frame.id();
  const auto [actor, state] = read_target(frame, "a stream's start of another form");
  const StreamRequest request{id, actor, state, frame.rest()};
  try {
    start_stream(request, id);
  } catch (const error& failure) {
    refuse_stream(id, RemoteCode::failed, failure.detail());
  }
}

void LivePeer::handle_stream_resume(FrameReader& frame) {
  const Id id = frame.id();
  const ResumePoint point{frame.number(), frame.number(), {frame.number(), frame.id()}};
  const Id fresh = frame.id();
  const auto [actor, state] = read_target(frame, "a stream's resumption of another form");
  const StreamRequest request{id, actor, state, frame.rest()};
  const auto stream = registry_->streams.find(id);
  if (stream && stream->client() != other_client_) return refuse_stream(id, RemoteCode::foreign_stream, {});
  if (stream && (stream->actor() != actor || stream->state() != state)) {
    return refuse_stream(id, RemoteCode::bad_options,
                         "a stream of " + target_text(Target{stream->actor(), stream->state()}));
  }
  try {
    if (stream && resume_kept(stream, point.last)) return;
    if (resume_from_journal(request, point)) return;
    start_stream(request, fresh);
  } catch (const error& failure) {
    refuse_stream(id, RemoteCode::failed, failure.detail());
  }
}

/// Goes on with a stream that this process knows. False if it can't; then it is dropped.
bool LivePeer::resume_kept(const std::shared_ptr<ServedStream>& stream, std::uint64_t last) {
  if (stream->hub().journal() == nullptr) {
    {
      const std::lock_guard lock(served_mutex_);
      served_.insert_or_assign(stream->id(), stream);
      count_served();
    }
    if (stream->resume(*this, last)) return true;
  }
  drop_stream(*stream);
  return false;
}

/// False if the state has no journal, or this isn't a stream of it.
bool LivePeer::resume_from_journal(const StreamRequest& request, const ResumePoint& point) {
  const auto hub = find_state(request);
  if (!hub) return true;  // refused
  if (hub->journal() == nullptr) return false;
  if (!is_ticket_of(point.ticket, *hub->journal(), request.asked, other_client_)) return false;
  const auto stream = add_stream(request, request.asked, hub);
  if (!stream) return true;  // refused
  try {
    if (stream->resume_from_journal(*this, point.ticket, point.last, point.place)) return true;
  } catch (...) {
    drop_stream(*stream);
    throw;
  }
  drop_stream(*stream);
  return false;
}

}  // namespace sluice::codec

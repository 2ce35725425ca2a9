// A peer's calls, and those that it serves.
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "bad_frame.hpp"
#include "live_peer_running.hpp"
#include "names.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/detail/pack_buffer.hpp"
#include "sluice/codec/error.hpp"

namespace sluice::codec {

// Calls of this side's.

namespace {

detail::CallFailure ended_failure(const std::string& text) {
  return {errc::peer_ended, text, {}};
}

/// Of a call that isn't waited for any longer.
detail::CallFailure given_up(const std::stop_token& stop) {
  if (stop.stop_requested()) return {errc::cancelled, "a call", {}};
  return {sluice::errc::timed_out, "a call: no answer yet", {}};
}

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
  if (depth_ > kDeepestCall) refuse_to_wait();
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

void LivePeer::calls_are_over(const std::string& text) noexcept {
  try {
    Lock lock(mutex_);
    calls_.fail_all(ended_failure(text), lock);
  } catch (...) {
    break_off_by_exception();
  }
}

LivePeer::Awaited* LivePeer::awaited(const Id& call) const noexcept {
  Awaited* waiting = awaited_;
  while (waiting != nullptr && (waiting->id != call || waiting->answered)) waiting = waiting->outer;
  return waiting;
}

// Serving calls of the other side's.

namespace {

/// Calls the method. Returns whether it did; if not, `fail(code, text)` was told why.
template <typename Fail>
bool invoke(detail::Method& method, Decoder& decoder, std::span<const std::byte> arguments,
            std::shared_ptr<detail::OpenReply> reply, detail::PackBuffer& result, Fail fail) {
  msgpack::object root;
  try {
    if (arguments.size() == 1 && arguments.front() == std::byte{0x90}) {  // none: there is nothing to decode
      root.type = msgpack::type::ARRAY;
      root.via.array = {};
    } else {
      root = decoder.decode<msgpack::object>(arguments);
    }
    if (root.type != msgpack::type::ARRAY) throw error(errc::wrong_type, "expected an array");
  } catch (const error& wrong) {
    fail(RemoteCode::bad_arguments, wrong.detail());
    return false;
  }
  try {
    method.call(root, std::move(reply), result);
    return true;
  } catch (const detail::BadArgument& wrong) {
    fail(RemoteCode::bad_arguments, wrong.text);
  } catch (const std::exception& thrown) {
    fail(RemoteCode::failed, words_of(thrown));
  } catch (...) {
    fail(RemoteCode::failed, "an unknown exception");
  }
  return false;
}

}  // namespace

void LivePeer::handle_call(FrameReader& frame, Level& level) {
  const Id id = frame.id();
  FrameReader names = frame;
  RemoteCode why{};
  detail::Method* const method = level.finder.find(*registry_, frame, why);
  if (method == nullptr) return answer_error(id, why, target_text(read_target(names, "")));
  if (depth_ > kDeepestCall) {
    return answer_error(id, RemoteCode::too_many,
                        "calls within calls, " + std::to_string(kDeepestCall) + " deep");
  }
  detail::PackBuffer result;
  if (!method->replies()) {
    const auto fail = [&](RemoteCode code, std::string_view text) { answer_error(id, code, text); };
    if (invoke(*method, level.decoder, frame.rest(), nullptr, result, fail)) answer(id, result.bytes());
    return;
  }
  const auto reply = replies_.add(id, weak_from_this());
  if (!reply) return answer_error(id, RemoteCode::too_many, "calls that aren't answered yet");
  invoke(*method, level.decoder, frame.rest(), reply, result,
         [&](RemoteCode code, std::string_view text) { reply->fail(code, text); });
}

void LivePeer::handle_send(FrameReader& frame, Level& level) {
  FrameReader names = frame;
  const auto fail = [&](RemoteCode code, std::string_view text) {
    if (!options_.on_send_failed) return;
    std::string words = target_text(read_target(names, "")) + ": " + std::string(to_string(code));
    if (!text.empty()) words.append(": ").append(text);
    options_.on_send_failed(words);
  };
  RemoteCode why{};
  detail::Method* const method = level.finder.find(*registry_, frame, why);
  if (method == nullptr) return fail(why, {});
  detail::PackBuffer result;
  invoke(*method, level.decoder, frame.rest(), method->replies() ? no_reply() : nullptr, result, fail);
}

}  // namespace sluice::codec

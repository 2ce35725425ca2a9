#include "call_table.hpp"

#include <cstring>
#include <exception>
#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/codec/error.hpp"

namespace sluice::codec::detail {

void take_answer(PendingCall& call, std::span<const std::byte> value, Decoder& decoder) noexcept {
  try {
    call.take(value, decoder);
  } catch (const error& wrong) {
    call.failure = {wrong.code(), wrong.detail(), {}};
  } catch (const std::exception& wrong) {
    call.failure = {errc::wrong_type, words_of(wrong), {}};
  } catch (...) {
    call.failure = {errc::wrong_type, "an unknown exception", {}};
  }
}

CallTable::CallTable(std::size_t most) : most_(most) {}

Id CallTable::id_of(std::uint64_t place) const noexcept {
  Id id = prefix_;
  const std::uint64_t rest = std::uint64_t{places_[place].uses} << 32 | place;
  std::memcpy(id.data() + 8, &rest, sizeof rest);
  return id;
}

PendingCall* CallTable::find(const Id& id) noexcept {
  std::uint64_t rest = 0;
  std::memcpy(&rest, id.data() + 8, sizeof rest);
  const std::uint64_t place = rest & 0xffff'ffff;
  if (std::memcmp(id.data(), prefix_.data(), 8) != 0 || place >= places_.size() ||
      places_[place].uses != rest >> 32)
    return nullptr;
  return places_[place].call;
}

Id CallTable::add(PendingCall& call, Lock& /*lock*/) {
  if (free_.empty()) {
    places_.emplace_back();
    free_.reserve(places_.size());
    free_.push_back(static_cast<std::uint32_t>(places_.size() - 1));
  }
  call.place_ = free_.back();
  free_.pop_back();
  places_[call.place_].call = &call;
  ++in_flight_;
  return id_of(call.place_);
}

/// Its place is free again, and its id means nothing any more.
void CallTable::leave(PendingCall& call) noexcept {
  if (call.place_ == kNowhere) return;
  Place& place = places_[call.place_];
  place.call = nullptr;
  ++place.uses;
  free_.push_back(static_cast<std::uint32_t>(call.place_));  // reserved by add()
  call.place_ = kNowhere;
  --in_flight_;
}

void CallTable::end(PendingCall& call, Lock& lock) {
  call.done_ = true;
  leave(call);
  if (!call.self_) return;
  const std::unique_ptr<PendingCall> owned = std::move(call.self_);
  lock.unlock();
  owned->finished();
  lock.lock();
}

bool CallTable::complete(const Id& id, std::span<const std::byte> value, Decoder& decoder, Lock& lock) {
  PendingCall* const call = find(id);
  if (call == nullptr || call->being_taken_) return false;
  call->being_taken_ = true;
  lock.unlock();
  take_answer(*call, value, decoder);
  lock.lock();
  call->being_taken_ = false;
  taken_.notify_all();
  end(*call, lock);
  return true;
}

bool CallTable::fail(const Id& id, const CallFailure& failure, Lock& lock) {
  PendingCall* const call = find(id);
  if (call == nullptr || call->being_taken_) return false;
  call->failure = failure;
  end(*call, lock);
  return true;
}

void CallTable::fail_all(const CallFailure& failure, Lock& lock) {
  std::vector<Id> ids;  // a call that is told of its end may make others
  for (std::size_t place = 0; place < places_.size(); ++place)
    if (places_[place].call != nullptr) ids.push_back(id_of(place));
  std::exception_ptr thrown;
  for (const Id& id : ids) {
    try {
      fail(id, failure, lock);
    } catch (...) {
      thrown = std::current_exception();
      lock.lock();
    }
  }
  if (thrown) std::rethrow_exception(thrown);
}

bool CallTable::remove(PendingCall& call, Id& id, Lock& lock) {
  taken_.wait(lock, [&] { return !call.being_taken_; });
  if (call.done_ || call.place_ == kNowhere) return false;
  id = id_of(call.place_);
  leave(call);
  return true;
}

void CallTable::own(std::unique_ptr<PendingCall> call, Lock& lock) {
  if (!call->done_) {
    PendingCall& kept = *call;
    kept.self_ = std::move(call);
    return;
  }
  lock.unlock();
  call->finished();
  lock.lock();
}

}  // namespace sluice::codec::detail

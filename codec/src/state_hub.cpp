#include "sluice/codec/detail/state_hub.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "journal_replay.hpp"

namespace sluice::codec::detail {

const SharedValue& StateHub::packed() {
  if (!packed_) packed_ = pack();
  return packed_;
}

void StateHub::add(const std::shared_ptr<StateSink>& sink) {
  Lock held = lock();
  if (ended_) {
    held.unlock();
    sink->end();
    return;
  }
  sinks_.push_back(sink);
  if (!sink->offer(packed(), place_, std::chrono::steady_clock::now())) sinks_.pop_back();
}

void StateHub::begin_journal() {
  if (journal() == nullptr) return;
  const Lock held = lock();
  recorded_ = packed();
  const auto newest = newest_packed_value(*journal());
  if (newest && std::ranges::equal(*newest, recorded_->bytes())) {
    place_ = journal()->next() - 1;
  } else {
    place_ = append_value(*journal(), *recorded_);
  }
}

void StateHub::record(SharedValue next) {
  place_ = append_value(*journal(), *next);
  recorded_ = std::move(next);
}

void StateHub::remove(const StateSink& sink) noexcept {
  if (owner_.inherited()) return;
  const std::lock_guard held(mutex_);
  std::erase_if(sinks_, [&](const auto& added) { return added.get() == &sink; });
}

void StateHub::end() noexcept {
  if (owner_.inherited()) return;
  std::vector<std::shared_ptr<StateSink>> ended;
  {
    const std::lock_guard held(mutex_);
    ended_ = true;
    ended.swap(sinks_);
  }
  for (const auto& sink : ended) sink->end();
}

void StateHub::changed(Lock lock) {
  ++version_;
  packed_ = recorded_;
  if (sinks_.empty()) return;
  const SharedValue& value = packed();
  packed_change(value);
  const Deadline now = std::chrono::steady_clock::now();
  std::vector<std::shared_ptr<StateSink>> unsettled;
  std::erase_if(sinks_, [&](const auto& sink) {
    if (!sink->offer(value, place_, now)) return true;
    if (sink->unsettled()) unsettled.push_back(sink);
    return false;
  });
  lock.unlock();
  if (unsettled.empty()) return;
  const Deadline give_up = deadline_in(options_.longest_wait);
  for (const auto& sink : unsettled) sink->settle(give_up);
}

}  // namespace sluice::codec::detail

#include "sluice/codec/detail/state_hub.hpp"

#include <algorithm>
#include <utility>

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
  if (!sink->offer(packed(), std::chrono::steady_clock::now())) sinks_.pop_back();
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
  packed_.reset();
  if (sinks_.empty()) return;
  const SharedValue& value = packed();
  packed_change(value);
  const Deadline now = std::chrono::steady_clock::now();
  std::vector<std::shared_ptr<StateSink>> unsettled;
  std::erase_if(sinks_, [&](const auto& sink) {
    if (!sink->offer(value, now)) return true;
    if (sink->unsettled()) unsettled.push_back(sink);
    return false;
  });
  lock.unlock();
  if (unsettled.empty()) return;
  const Deadline give_up = deadline_in(options_.longest_wait);
  for (const auto& sink : unsettled) sink->settle(give_up);
}

}  // namespace sluice::codec::detail

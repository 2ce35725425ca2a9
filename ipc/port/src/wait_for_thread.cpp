#include "wait_for_thread.hpp"

#include <mutex>
#include <unordered_map>

namespace sluice::ipc {
namespace {

struct Waiting {
  std::mutex mutex;
  std::unordered_map<std::thread::id, std::thread::id> for_whom;  // under mutex, without circles
};

/// Never destroyed: ports with static storage may wait at the very end.
Waiting& waiting() {
  static auto* const all = new Waiting;
  return *all;
}

}  // namespace

WaitForThread::WaitForThread(std::thread::id other) {
  const std::thread::id self = std::this_thread::get_id();
  auto& [mutex, for_whom] = waiting();
  const std::scoped_lock lock(mutex);
  std::thread::id last = other;
  for (auto next = for_whom.find(last); last != self && next != for_whom.end(); next = for_whom.find(last))
    last = next->second;
  will_end_ = last != self;
  if (will_end_) for_whom.emplace(self, other);
}

WaitForThread::~WaitForThread() {
  if (!will_end_) return;
  auto& [mutex, for_whom] = waiting();
  const std::scoped_lock lock(mutex);
  for_whom.erase(std::this_thread::get_id());
}

}  // namespace sluice::ipc

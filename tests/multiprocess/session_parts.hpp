// What tests of sessions have in common: the two roles, and the events of one side.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sluice/ipc/connect/session.hpp"

namespace sluice::test {

enum class Role { host, join };

inline Port open_session(Role role, const std::string& path, SessionOptions options) {
  return role == Role::host ? host_session(path, std::move(options)) : join_session(path, std::move(options));
}

inline Role other(Role role) {
  return role == Role::host ? Role::join : Role::host;
}

/// Collects a session's events; waits for one.
class Events {
 public:
  SessionHandler handler() {
    return [this](const SessionEvent& event) {
      const std::scoped_lock lock(mutex_);
      events_.push_back(event);
      came_.notify_all();  // under the lock: who sees the event may destroy this
    };
  }

  /// The first event of that kind behind those that were waited for before.
  std::optional<SessionEvent> wait_for(SessionState state) { return wait_for_either(state, state); }
  std::optional<SessionEvent> wait_for_either(SessionState one, SessionState another) {
    std::unique_lock lock(mutex_);
    std::optional<SessionEvent> found;
    came_.wait_for(lock, std::chrono::seconds(20), [&] {
      while (!found && next_ < events_.size()) {
        const SessionState state = events_[next_].state;
        if (state == one || state == another) found = events_[next_];
        ++next_;
      }
      return found.has_value();
    });
    return found;
  }

  /// Frees the memory of those that were waited for before.
  void forget() {
    const std::scoped_lock lock(mutex_);
    events_.erase(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(next_));
    next_ = 0;
  }

  std::vector<SessionState> states() const {
    const std::scoped_lock lock(mutex_);
    std::vector<SessionState> states;
    for (const SessionEvent& event : events_) states.push_back(event.state);
    return states;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable came_;
  std::vector<SessionEvent> events_;
  std::size_t next_ = 0;
};

}  // namespace sluice::test

// How a thread waits for what a peer's frames bring.
#pragma once

#include <stop_token>
#include <thread>

#include "live_peer.hpp"
#include "sluice/base/error.hpp"

namespace sluice::codec {

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
    if (runs_too_deep()) {
      if (deadline == Deadline{}) return false;
      refuse_to_wait();
    }
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

}  // namespace sluice::codec

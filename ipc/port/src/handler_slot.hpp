// A handler that one thread calls at full speed and any thread can replace.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "sluice/ring/detail/barrier.hpp"
#include "wait_for_thread.hpp"

namespace sluice::ipc {

/// Holds a handler, which need not be copyable. Calling costs no lock: the calling thread marks that it is
/// inside, and whoever replaces the handler waits until that call is over. The store-load order between the
/// two is the asymmetric pair of barrier.hpp.
template <typename Function>
class HandlerSlot {
 public:
  HandlerSlot() = default;
  HandlerSlot(const HandlerSlot&) = delete;
  HandlerSlot& operator=(const HandlerSlot&) = delete;
  ~HandlerSlot() { delete current_.load(std::memory_order_relaxed); }  // relaxed: nobody else is left

  /// Sets `next` and returns what was there. Afterwards the old handler neither runs nor will run, unless
  /// this is called from inside it, or from inside a handler that it waits for in its turn. Any thread,
  /// several at once: no lock is held while one waits for the call, since that call may be about to replace
  /// the handler itself.
  Function exchange(Function next) {
    auto* fresh = next ? new Function(std::move(next)) : nullptr;
    // Sequentially consistent, and with the barriers: either the caller sees the new handler, or we see it
    // inside.
    std::shared_ptr<Function> old(current_.exchange(fresh, std::memory_order_seq_cst));
    ring::sleeper_barrier(light_);
    if (!old) return {};
    if (called_here() || !wait_for_end_of_call()) {
      // The old handler is still running, below us on this stack or waiting for us: it stays where it is, at
      // least until it has returned, and what we hand out calls it there.
      const std::scoped_lock lock(retired_mutex_);
      retired_.push_back(old);
      any_retired_.store(true, std::memory_order_release);
      return [old = std::move(old)](auto&&... arguments) {
        (*old)(std::forward<decltype(arguments)>(arguments)...);
      };
    }
    return std::move(*old);
  }

  /// Whether the handler is running below on this stack.
  bool called_here() const noexcept {
    return caller_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }

  bool empty() const noexcept { return current_.load(std::memory_order_acquire) == nullptr; }

  /// Calls the handler; false if there is none. One thread at a time.
  template <typename... Arguments>
  bool call(Arguments&&... arguments) {
    bool called = false;
    call_repeatedly([&](Function& function) {
      called = true;
      function(std::forward<Arguments>(arguments)...);
      return false;
    });
    return called;
  }

  /// Calls `step(handler)` until it returns false or there is no handler. Marks the thread as inside only
  /// once for as long as the handler stays the same: a replacement is noticed after the present step. One
  /// thread at a time.
  template <typename Step>
  void call_repeatedly(Step step) {
    for (;;) {
      const Inside inside(*this);
      Function* function = current_.load(std::memory_order_acquire);  // pairs with exchange: it is complete
      if (function == nullptr) return;
      do {
        if (!step(*function)) return;
      } while (current_.load(std::memory_order_acquire) == function);
    }
  }

 private:
  /// Odd calls_ means inside. Written by the calling thread only.
  class Inside {
   public:
    explicit Inside(HandlerSlot& slot) noexcept : slot_(slot) {
      // Relaxed: the thread itself compares it with its own id; others read it behind calls_.
      slot.caller_.store(std::this_thread::get_id(), std::memory_order_relaxed);
      // Release pairs with wait_for_end_of_call: who is inside.
      slot.calls_.store(slot.calls_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
      ring::publisher_barrier(slot.light_);  // pairs with the barrier in exchange
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() {
      // What is overlooked goes with a later call.
      if (slot_.any_retired_.load(std::memory_order_acquire)) slot_.drop_retired();
      slot_.caller_.store(std::thread::id(), std::memory_order_relaxed);
      // Release pairs with wait_for_end_of_call: the call's effects precede the replacement's return.
      slot_.calls_.store(slot_.calls_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }

   private:
    HandlerSlot& slot_;
  };

  /// False if it will never end: it waits for us.
  bool wait_for_end_of_call() const {
    const std::uint64_t seen = calls_.load(std::memory_order_acquire);
    if (seen % 2 == 0) return true;
    const WaitForThread wait(caller_.load(std::memory_order_relaxed));
    while (wait.will_end() && calls_.load(std::memory_order_acquire) == seen)
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    return wait.will_end();
  }

  void drop_retired() noexcept {
    std::vector<std::shared_ptr<Function>> dropped;
    const std::scoped_lock lock(retired_mutex_);
    dropped.swap(retired_);  // destroyed without the lock
    any_retired_.store(false, std::memory_order_relaxed);
  }

  const bool light_ = ring::register_barrier_target();
  std::atomic<Function*> current_{nullptr};
  std::atomic<std::uint64_t> calls_{0};
  std::atomic<std::thread::id> caller_{};
  std::atomic<bool> any_retired_{false};
  std::mutex retired_mutex_;
  std::vector<std::shared_ptr<Function>> retired_;  // replaced while they ran; dropped at the end of a call
};

}  // namespace sluice::ipc

// The part of an observable state that doesn't depend on its type: who observes it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "sluice/base/deadline.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/codec/delta_stream.hpp"
#include "sluice/codec/packed_value.hpp"
#include "sluice/codec/state_journal.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// What a state does for its observers.
struct StateOptions {
  /// Items of each stream that are kept, so that a stream can be resumed; 0 .. 1,000,000.
  std::size_t retained_items = 100;
  /// How long the stream of a client that is gone is kept.
  Duration retention = std::chrono::seconds(300);
  /// A stream that asked for every value (SlowPolicy::block) and takes none makes updates wait for it, once as many
  /// items as are retained (at least 1) lie there for it: for this long at most. Then it is ended with `too slow`. No
  /// update waits inside a method that a peer calls.
  Duration longest_wait = std::chrono::seconds(1);
  /// Keeps each value, so that streams can be resumed as far back as it reaches, also when this process was killed:
  /// retained_items and retention don't matter for that then, and no update waits for a stream. An update that can't
  /// be recorded throws, and changes nothing.
  std::shared_ptr<StateJournal> journal{};
};

namespace detail {

/// One stream of a state's values. Implemented by src/served_stream.hpp.
class StateSink {
 public:
  StateSink() = default;
  StateSink(const StateSink&) = delete;
  StateSink& operator=(const StateSink&) = delete;
  virtual ~StateSink() = default;

  /// A new value, with the hub's lock held; `place` is its number in the journal, 0 without one. Doesn't wait. False if
  /// the sink is to be dropped.
  virtual bool offer(const SharedValue& value, std::uint64_t place, Deadline now) = 0;
  /// Whether settle() has something to do. With the lock held.
  virtual bool unsettled() const noexcept = 0;
  /// Sends what offer() couldn't send without waiting, and waits until the sink can take another value. Without the
  /// lock.
  virtual void settle(Deadline give_up) noexcept = 0;
  /// The state is gone, or its actor is.
  virtual void end() noexcept = 0;
};

/// Thread-safety: any thread.
class StateHub {
 public:
  explicit StateHub(StateOptions options) : options_(std::move(options)) {}
  StateHub(const StateHub&) = delete;
  StateHub& operator=(const StateHub&) = delete;
  virtual ~StateHub() = default;

  const StateOptions& options() const noexcept { return options_; }
  /// Null if there is none.
  StateJournal* journal() const noexcept { return options_.journal.get(); }
  /// Which deltas its values have.
  virtual DeltaKind delta_kind() const noexcept = 0;

  /// Adds the sink, which is offered the present value at once.
  void add(const std::shared_ptr<StateSink>& sink);
  void remove(const StateSink& sink) noexcept;
  /// Ends all streams. From now on nothing is sent.
  void end() noexcept;

  /// What `visit(present value)` returns, during which nothing changes.
  template <typename Visit>
  auto look(Visit visit) {
    const Lock held = lock();
    return visit(packed());
  }
  /// Records the present value, unless it is the newest in the journal. Once, before anything else.
  void begin_journal();

 protected:
  using Lock = std::unique_lock<std::mutex>;
  Lock lock() const {
    owner_.check("an observable state");
    return Lock(mutex_);
  }
  /// Records what the value is about to become. Throws what the journal throws: the value must not change then.
  void record(SharedValue next);
  /// The value has changed. Sends it to every sink; then releases the lock, and waits for those that want that.
  void changed(Lock lock);
  virtual SharedValue pack() const = 0;
  /// The value has been packed after a change, and isn't sent yet.
  virtual void packed_change(const SharedValue& packed) = 0;
  /// The present value, if anybody observes it; else null. With the lock held.
  SharedValue observed_value() { return sinks_.empty() ? SharedValue() : packed(); }

  std::uint64_t version_ = 0;  // counts changes

 private:
  /// The present value. With the lock held.
  const SharedValue& packed();

  const StateOptions options_;
  const base::OwnerProcess owner_;
  mutable std::mutex mutex_;  // guards the value, too
  SharedValue packed_;        // null: has to be packed
  SharedValue recorded_;      // with a journal: the newest value in it
  std::uint64_t place_ = 0;   // of that value
  std::vector<std::shared_ptr<StateSink>> sinks_;
  bool ended_ = false;
};

}  // namespace detail
}  // namespace sluice::codec

#pragma GCC visibility pop

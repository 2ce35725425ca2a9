// An observable state that outlives its process: loaded from a store at the start, saved with each change.
//
//   sluice::codec::SealedStateStore store("/var/lib/todos", key);
//   sluice::codec::StatefulActor<Todos> todos(store, "todos");
//   registry.actor("todos")
//       .state("state", todos.state())
//       .method("add", [&](const std::string& item) { todos.update([&](Todos& all) { all.items.push_back(item); }); });
#pragma once

#include <concepts>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "sluice/codec/decode_options.hpp"
#include "sluice/codec/observable_state.hpp"
#include "sluice/codec/state_store.hpp"
#include "sluice/codec/typed_state.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// What comes first when the state changes.
enum class SaveOrder : unsigned char {
  save_then_stream,  ///< observers see nothing that isn't saved
  stream_then_save,  ///< they see it sooner. If saving fails, they see the value before once more
};

struct StatefulOptions {
  SaveOrder order = SaveOrder::save_then_stream;
  StateOptions state{};
  DecodeOptions limits{};  ///< of what is loaded and saved
};

/// The state under one key of a store. Several processes may share it: an update on top of a state that somebody else
/// has saved meanwhile throws VersionConflict, and changes nothing; update_with_retry() takes theirs, and tries again.
/// Each update works on a copy of the value: if it throws, nothing has changed, here or in the store, unless the store
/// failed in a way that doesn't tell (see StateStore); then the next call begins with what is stored. So it does if the
/// value was saved, but not recorded in the state's journal.
/// Thread-safety: any thread; one update at a time. The store must outlive it.
template <typename T>
class StatefulActor {
 public:
  /// Loads the state; `initial` if there is none, which isn't saved before it changes. Throws what the store throws.
  StatefulActor(StateStore& store, std::string_view key, T initial = T{}, const StatefulOptions& options = {})
      : StatefulActor(store, key, load_with_version<T>(store, key, options.limits), std::move(initial),
                      options) {}

  /// For Actor::state(), and to read the value. It changes through this object only.
  const ObservableState<T>& state() const noexcept { return state_; }
  T get() const { return state_.get(); }
  /// Of the value in the store; 0 if it was never saved.
  StateVersion version() const {
    const std::lock_guard lock(mutex_);
    return version_;
  }

  /// Changes the value by `transform(value)`, saves it and streams it. Throws VersionConflict, what `transform`
  /// throws and what the store throws.
  template <std::invocable<T&> Transform>
  void update(Transform transform) {
    const std::lock_guard lock(mutex_);
    refresh_if_stale();
    T next = state_.get();
    std::invoke(transform, next);
    put(std::move(next), version_);
  }

  /// The same, but takes over what somebody else has saved, streams that, and calls `transform` again.
  template <std::invocable<T&> Transform>
  void update_with_retry(Transform transform, const RetryOptions& options = {}) {
    detail::Retries retries(options);
    for (;;) {
      try {
        return update(std::ref(transform));
      } catch (const VersionConflict& conflict) {
        retries.wait_after(conflict);
        reload();
      }
    }
  }

  /// Sets the value if the stored one has this version; else throws VersionConflict.
  void save_if_version(T value, StateVersion expected) {
    const std::lock_guard lock(mutex_);
    refresh_if_stale();
    put(std::move(value), expected);
  }

  /// Takes over what is stored, and streams it if it is another version. Nothing if nothing is stored.
  void reload() {
    const std::lock_guard lock(mutex_);
    refresh();
  }

 private:
  StatefulActor(StateStore& store, std::string_view key, std::optional<Versioned<T>> loaded, T initial,
                const StatefulOptions& options)
      : store_(store),
        key_(key),
        options_(options),
        version_(loaded ? loaded->version : 0),
        state_(loaded ? std::move(loaded->value) : std::move(initial), options.state) {}

  // All with mutex_ held.

  void refresh() {
    auto stored = load_with_version<T>(store_, key_, options_.limits);
    if (stored && stored->version != version_) {
      state_.set(std::move(stored->value));
      version_ = stored->version;
    }
    stale_ = false;
  }
  void refresh_if_stale() {
    if (stale_) refresh();
  }
  void save(const T& value, StateVersion expected) {
    try {
      version_ = codec::save_if_version(store_, key_, value, expected, options_.limits);
    } catch (const VersionConflict&) {
      throw;
    } catch (...) {
      stale_ = true;
      throw;
    }
  }
  void put(T value, StateVersion expected) {
    if (options_.order == SaveOrder::save_then_stream) {
      const StateVersion before = version_;
      save(value, expected);
      try {
        state_.set(std::move(value));
      } catch (...) {
        version_ = before;
        stale_ = true;
        throw;
      }
      return;
    }
    T before = state_.get();
    state_.set(value);
    try {
      save(value, expected);
    } catch (...) {
      state_.set(std::move(before));
      throw;
    }
  }

  StateStore& store_;
  const std::string key_;
  const StatefulOptions options_;
  mutable std::mutex mutex_;  // guards what follows; taken before the state's own lock
  StateVersion version_;
  bool stale_ = false;  // what is stored may be newer
  ObservableState<T> state_;
};

}  // namespace sluice::codec

#pragma GCC visibility pop

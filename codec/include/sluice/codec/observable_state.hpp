// A value whose changes stream to whoever observes it.
//
//   sluice::codec::ObservableState<Todos> todos;
//   registry.actor("todos").state("state", todos);       // now peers can observe it
//   todos.update([](Todos& all) { all.items.push_back("milk"); });
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "sluice/codec/delta_stream.hpp"
#include "sluice/codec/detail/state_hub.hpp"
#include "sluice/codec/own_delta.hpp"
#include "sluice/codec/packed_value.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// Owns the value. Each change is packed once, for all observers, in the thread that makes it. No observer holds up
/// the others, or the caller: see StateOptions::longest_wait for the one exception. Destroying it ends its streams
/// (actor_terminated). T can be copied. Movable. Thread-safety: any thread; not in a forked child (errc::misuse).
template <typename T>
class ObservableState {
 public:
  /// Throws what the journal throws, if there is one: the value is recorded, unless it is the newest there.
  explicit ObservableState(T value = T{}, const StateOptions& options = {})
      : held_(std::make_shared<Held>(std::move(value), options)) {
    held_->begin_journal();
  }
  ObservableState(ObservableState&&) noexcept = default;
  ObservableState& operator=(ObservableState&& other) noexcept {
    if (this != &other) {
      end();
      held_ = std::move(other.held_);
    }
    return *this;
  }
  ~ObservableState() { end(); }

  /// A copy of the value.
  T get() const { return held_->get(); }
  /// What `look(value)` returns; the value doesn't change meanwhile.
  template <typename Look>
  auto read(Look look) const {
    return held_->read(std::move(look));
  }
  /// Counts the changes.
  std::uint64_t version() const { return held_->version(); }

  void set(T value) {
    held_->change([&](T& present) { present = std::move(value); });
  }
  ObservableState& operator=(T value) {
    set(std::move(value));
    return *this;
  }

  /// Calls `change(value)` on the value itself, and streams what it has become. If it throws, that is what it had
  /// become until then: nobody observes anything but what get() returns. With a journal `change` gets a copy, and
  /// nothing has changed if anything throws. It must not use this object.
  template <typename Change>
  void update(Change change) {
    held_->change(std::move(change));
  }

  /// For Actor::state().
  std::shared_ptr<detail::StateHub> hub() const noexcept { return held_; }

 private:
  class Held final : public detail::StateHub {
   public:
    Held(T value, const StateOptions& options) : StateHub(options), value_(std::move(value)) {}

    T get() const {
      const Lock held = lock();
      return value_;
    }
    template <typename Look>
    auto read(Look look) const {
      const Lock held = lock();
      return look(value_);
    }
    std::uint64_t version() const {
      const Lock held = lock();
      return version_;
    }
    template <typename Change>
    void change(Change change) {
      Lock held = lock();
      if (journal() != nullptr) return change_recorded(change, std::move(held));
      remember();
      try {
        change(value_);
      } catch (...) {
        changed(std::move(held));
        throw;
      }
      changed(std::move(held));
    }

   private:
    template <typename Change>
    void change_recorded(Change& change, Lock held) {
      T next = value_;
      change(next);
      SharedValue packed = PackedValue::of(next);
      remember();
      record(std::move(packed));
      value_ = std::move(next);
      changed(std::move(held));
    }

    DeltaKind delta_kind() const noexcept override {
      return DeltaCodable<T> ? DeltaKind::own : DeltaKind::generic;
    }
    SharedValue pack() const override { return PackedValue::of(value_); }

    // A type with deltas of its own has them made of the value before a change and the one after it.
    struct Before {
      T value;
      SharedValue packed;
    };
    void remember() {
      if constexpr (DeltaCodable<T>) {
        before_.reset();
        if (SharedValue packed = observed_value()) before_.emplace(Before{value_, std::move(packed)});
      }
    }
    void packed_change([[maybe_unused]] const SharedValue& packed) override {
      if constexpr (DeltaCodable<T>) {
        if (before_) keep_own_delta(before_->value, before_->packed, value_, packed);
        before_.reset();
      }
    }

    T value_;
    std::conditional_t<DeltaCodable<T>, std::optional<Before>, std::monostate> before_{};
  };

  void end() noexcept {
    if (held_) held_->end();
  }

  std::shared_ptr<Held> held_;
};

}  // namespace sluice::codec

#pragma GCC visibility pop

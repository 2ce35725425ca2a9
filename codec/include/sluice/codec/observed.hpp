// A stream of another program's state, at the observing side.
//
//   auto stream = peer.observe<Todos>("todos", "state");
//   for (const Todos& todos : stream) draw(todos);                    // until the stream ends
//
//   while (const Todos* todos = stream.next_for(1s)) draw(*todos);    // or step by step
//   if (stream.status() == sluice::Status::timed_out) ...
//
//   stream.on_value([](const Todos& todos) { draw(todos); });         // or by callback
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "sluice/base/deadline.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/status.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/delta_stream.hpp"
#include "sluice/codec/detail/observation.hpp"
#include "sluice/codec/detail/peer_core.hpp"
#include "sluice/codec/frame.hpp"
#include "sluice/codec/own_delta.hpp"
#include "sluice/ipc/checkpoint/checkpoint.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

namespace detail {
template <typename T>
struct ApplierOf {
  using type = DeltaStreamApplier;
};
template <DeltaCodable T>
struct ApplierOf<T> {
  using type = OwnDeltaApplier<T>;
};
}  // namespace detail

/// Destroying it unsubscribes. Movable; with a callback set, too. May outlive its peer: then what has arrived can
/// still be taken. Thread-safety: one thread at a time.
template <typename T>
class [[nodiscard]] Observed {
 public:
  Observed(std::shared_ptr<detail::PeerCore> core, detail::ObservationStart start,
           const DecodeOptions& limits)
      : reader_(std::make_shared<Reader>(std::move(core), std::move(start), limits)) {}
  Observed(Observed&&) noexcept = default;
  Observed& operator=(Observed&& other) noexcept {
    if (this != &other) {
      unsubscribe();
      reader_ = std::move(other.reader_);
    }
    return *this;
  }
  ~Observed() { unsubscribe(); }

  /// The next value, which is valid until the next call; waits for it. Null if there is none: status() tells why. The
  /// value before counts as consumed then. A value that is no T is passed over, with status malformed.
  const T* next(Deadline deadline = kNoDeadline) { return reader_->next(deadline); }
  const T* next_for(Duration timeout) { return next(deadline_in(timeout)); }
  const T* try_next() { return next(Deadline{}); }

  /// What the last next() came to: ok, timed_out, malformed, or why no more will come: closed (the stream has ended:
  /// end_reason() tells), or the reason of the port's end.
  Status status() const noexcept { return reader_->status; }
  /// Of the last value: counts the items that were sent from 1; 0 before the first.
  std::uint64_t sequence() const noexcept { return reader_->item.sequence; }
  /// When the last value was sent, by the other side's clock.
  std::chrono::system_clock::time_point time() const noexcept {
    return std::chrono::system_clock::time_point(std::chrono::nanoseconds(reader_->item.time_ns));
  }

  /// What the other side said to the start or to the resumption; the last of them. Nothing until it has.
  std::optional<Verdict> verdict() const { return reader_->core->verdict(*reader_->observation); }
  /// Once it has ended.
  StreamEnd end_reason() const { return reader_->core->ending(*reader_->observation).reason; }
  /// What went wrong, and the code of codec::errc for it; empty if nothing did.
  std::string failure_text() const { return reader_->failure_text(); }
  std::error_code failure() const { return reader_->core->ending(*reader_->observation).code; }

  /// Where to go on: behind the last value that next() gave. Store it when that value is dealt with.
  StreamCheckpoint checkpoint() const { return reader_->core->checkpoint(*reader_->observation); }

  /// Has `take(value)` called for each value, by the thread that runs the peer, from now on. next() isn't allowed any
  /// more. An exception of it ends the stream, with its text.
  template <typename Take>
  void on_value(Take take) {
    reader_->core->call_on_arrival(
        reader_->observation, [reader = std::weak_ptr<Reader>(reader_), take = std::move(take)]() mutable {
          const auto held = reader.lock();
          while (held) {
            const T* const value = held->next(Deadline{});
            if (value != nullptr) {
              take(*value);
            } else if (held->status != Status::malformed) {
              return;
            }
          }
        });
  }

  /// Ends the stream here and at the other side. What has arrived is dropped.
  void unsubscribe() noexcept {
    if (reader_) reader_->core->unsubscribe(*reader_->observation, true);
  }
  /// Ends it here only: the other side keeps it for a while, and Peer::resume() can go on with it, in this process or
  /// the next one. (So does a peer that closes or dies before its streams are destroyed.)
  void leave() noexcept {
    if (reader_) reader_->core->unsubscribe(*reader_->observation, false);
  }

  /// An input range of the values: each step is next(). Ends when next() gives none, but for malformed ones, which are
  /// passed over.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    explicit iterator(Observed& stream) : stream_(&stream) { ++*this; }
    const T& operator*() const noexcept { return *value_; }
    const T* operator->() const noexcept { return value_; }
    iterator& operator++() {
      do {
        value_ = stream_->next();
      } while (value_ == nullptr && stream_->status() == Status::malformed);
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t /*end*/) const noexcept { return value_ == nullptr; }

   private:
    Observed* stream_ = nullptr;
    const T* value_ = nullptr;
  };
  iterator begin() { return iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  /// What a callback shares with the stream.
  struct Reader {
    Reader(std::shared_ptr<detail::PeerCore> peer, detail::ObservationStart start,
           const DecodeOptions& limits)
        : core(std::move(peer)),
          observation(core->observe(std::move(start))),
          decoder(limits),
          applier(limits) {}

    const T* next(Deadline deadline) {
      if (status == Status::ok && item.sequence != 0) core->consumed(*observation, item);
      for (;;) {
        detail::ArrivedItem arrived;
        status = core->next(*observation, arrived, deadline);
        if (status != Status::ok) return nullptr;
        item = std::move(arrived);
        try {
          if (take()) return &value;
        } catch (const error& wrong) {
          malformed = wrong.detail();
          status = Status::malformed;
          if (observation->delta) want_full();
        }
        core->consumed(*observation, item);
        if (status == Status::malformed) return nullptr;
      }
    }
    /// Makes the item's value. False if that takes a full one, which then is on its way.
    bool take() {
      if (!observation->delta) {
        value = decoder.decode<T>(item.data);
        return true;
      }
      if (item.form == StreamForm::full) full_wanted = false;
      if (applier.apply(item.form, item.base, item.sequence, item.data) == Applied::full_wanted) {
        want_full();
        return false;
      }
      if constexpr (DeltaCodable<T>) {
        value = *applier;
      } else {
        value = convert<T>(applier.root());
      }
      return true;
    }
    void want_full() {
      if (!std::exchange(full_wanted, true)) core->want_full(*observation, item);
    }
    std::string failure_text() const {
      return status == Status::malformed ? malformed : core->ending(*observation).text;
    }

    std::shared_ptr<detail::PeerCore> core;
    std::shared_ptr<detail::Observation> observation;
    Decoder decoder;
    typename detail::ApplierOf<T>::type applier;
    bool full_wanted = false;
    detail::ArrivedItem item;
    T value{};
    Status status = Status::timed_out;
    std::string malformed;
  };

  std::shared_ptr<Reader> reader_;
};

}  // namespace sluice::codec

#pragma GCC visibility pop

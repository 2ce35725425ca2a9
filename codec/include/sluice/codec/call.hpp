// A call to a method at the other side, and what became of it.
//
//   std::uint64_t number = peer.call<std::uint64_t>("todos", "add", "buy milk");   // throws what went wrong
//
//   auto first = peer.call_async<int>("sums", "add", 1, 2);                         // many in flight
//   auto second = peer.call_async<int>("sums", "add", 3, 4);
//   use(first.get() + second.get());
//
//   peer.call_async<int>("sums", "add", 5, 6).then([](sluice::codec::Outcome<int> sum) { if (sum) use(*sum); });
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "sluice/base/deadline.hpp"
#include "sluice/base/detail/move_only_function.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/detail/peer_core.hpp"
#include "sluice/codec/error.hpp"
#include "sluice/codec/frame.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// How a call waits.
struct CallOptions {
  /// Then the call is given up: errc::timed_out (of sluice).
  Duration timeout = Duration(std::chrono::nanoseconds::max());
  /// Gives the call up, too: errc::cancelled. Looked at every 10 ms.
  std::stop_token stop{};
};

/// The deadline of a call that begins now.
inline Deadline deadline_of(const CallOptions& options) noexcept {
  return options.timeout == Duration(std::chrono::nanoseconds::max()) ? kNoDeadline
                                                                      : deadline_in(options.timeout);
}

/// Thrown by a call that the other side answered with an error. The code is errc::remote. The text is the other
/// side's, made fit for a terminal.
class RemoteError : public error {
 public:
  RemoteError(RemoteCode code, const std::string& text) : error(errc::remote, text), remote_code_(code) {}
  RemoteCode remote_code() const noexcept { return remote_code_; }

 private:
  RemoteCode remote_code_;
};

/// A call's value, or what went wrong. R may be void. Thread-safety: a value type.
template <typename R>
class Outcome {
 public:
  using Value = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

  explicit Outcome(Value value) : value_(std::move(value)) {}
  explicit Outcome(detail::CallFailure failure) : failure_(std::move(failure)) {}

  explicit operator bool() const noexcept { return value_.has_value(); }
  /// Only if there is a value.
  Value& operator*() noexcept { return *value_; }
  Value* operator->() noexcept { return &*value_; }

  std::error_code code() const noexcept { return failure_.code; }
  const std::string& text() const noexcept { return failure_.text; }
  /// What the other side answered, if it did.
  std::optional<RemoteCode> remote_code() const noexcept { return failure_.remote; }

  /// The value. Throws RemoteError or sluice::error.
  R get() && {
    if (!value_) detail::throw_failure(failure_);
    if constexpr (!std::is_void_v<R>) return std::move(*value_);
  }

 private:
  std::optional<Value> value_;
  detail::CallFailure failure_;
};

namespace detail {

template <typename R>
class TypedCall final : public PendingCall {
 public:
  void take([[maybe_unused]] std::span<const std::byte> value, [[maybe_unused]] Decoder& decoder) override {
    if constexpr (!std::is_void_v<R>) {
      static_assert(!std::is_same_v<R, std::string_view>, "a call's result must own its memory");
      value_.emplace(decoder.decode<R>(value));
    } else {
      value_.emplace();  // whatever it is
    }
  }
  void finished() override {
    if (callback) callback(outcome());
  }
  // Only when the call is done, one of:
  R get() {
    if (!value_) throw_failure(failure);
    if constexpr (!std::is_void_v<R>) return std::move(*value_);
  }
  Outcome<R> outcome() {
    if (value_) return Outcome<R>(std::move(*value_));
    return Outcome<R>(std::move(failure));
  }

  base::MoveOnlyFunction<void(Outcome<R>)> callback;

 private:
  std::optional<typename Outcome<R>::Value> value_;
};

}  // namespace detail

/// A call in flight. Destroying it cancels the call: the other side is told, and its answer dropped. Movable.
/// Thread-safety: one thread at a time; any number of calls of one peer in any threads.
template <typename R>
class [[nodiscard]] Pending {
 public:
  Pending(std::shared_ptr<detail::PeerCore> core, std::unique_ptr<detail::TypedCall<R>> call) noexcept
      : core_(std::move(core)), call_(std::move(call)) {}
  Pending(Pending&&) noexcept = default;
  Pending& operator=(Pending&& other) noexcept {
    if (this != &other) {
      cancel();
      core_ = std::move(other.core_);
      call_ = std::move(other.call_);
    }
    return *this;
  }
  ~Pending() { cancel(); }

  /// Whether get() wouldn't wait.
  bool ready() const { return core_->done(*call_); }
  /// Waits for the answer; false at the deadline: the call goes on.
  bool wait_until(Deadline deadline) { return core_->wait(*call_, deadline); }
  bool wait_for(Duration timeout) { return wait_until(deadline_in(timeout)); }

  /// Waits, and takes the value. Throws RemoteError or sluice::error. Only once.
  R get(const CallOptions& options = {}) && { return std::move(*this).outcome(options).get(); }
  /// The same without throwing what the call came to.
  Outcome<R> outcome(const CallOptions& options = {}) && {
    core_->finish(*call_, deadline_of(options), options.stop);
    auto outcome = call_->outcome();
    call_.reset();
    return outcome;
  }

  /// Has `callback(Outcome<R>)` called, once: on the thread that runs the peer, or at once if the answer is there. An
  /// exception of it ends the peer (Status::broken, with its text), but for one that is thrown at once.
  template <typename F>
  void then(F callback) && {
    call_->callback = std::move(callback);
    core_->finish_later(std::move(call_));
  }

  /// Gives the call up. get() is not allowed afterwards.
  void cancel() noexcept {
    if (call_) core_->drop(*call_);
    call_.reset();
  }

 private:
  std::shared_ptr<detail::PeerCore> core_;
  std::unique_ptr<detail::TypedCall<R>> call_;
};

}  // namespace sluice::codec

#pragma GCC visibility pop

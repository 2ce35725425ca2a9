// Values over a port: one msgpack value a message.
//
//   struct Order {
//     std::string customer;
//     std::uint64_t cents = 0;
//     MSGPACK_DEFINE(customer, cents)
//   };
//
//   sluice::codec::post(port, Order{"Ada", 1250});
//
//   while (auto order = sluice::codec::receive<Order>(port)) use(order->customer);
//   port.on_message(sluice::codec::handler<Order>([](const Order& order) { use(order); }));
//
// What can be posted is what msgpack-cxx can pack: numbers, text, containers, optional, variant, chrono, and
// types with MSGPACK_DEFINE (an array) or MSGPACK_DEFINE_MAP (a map). The functions are templates over any
// MessagePortLike. (sluice::post() posts a value as it lies in memory.)
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "sluice/base/deadline.hpp"
#include "sluice/base/status.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/detail/writers.hpp"
#include "sluice/ipc/port/claim.hpp"
#include "sluice/ipc/port/message.hpp"
#include "sluice/ipc/port/message_port.hpp"
#include "sluice/ipc/port/pull_port.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

// Sending. Each call has the outcomes and the threading rule of the port's call of the same name, and throws
// what packing throws: nothing is posted then.

/// Posts `value`; waits while the ring is full.
template <MessagePortLike P, typename T>
Status post(P& port, const T& value) {
  return detail::post_value(port, value, detail::Posting::post, kNoDeadline);
}

/// The same without waiting: would_block if there is no room. Only for ports that have a call that doesn't wait.
template <MessagePortLike P, typename T>
requires detail::CanPostWithoutWaiting<P> Status try_post(P& port, const T& value) {
  return detail::post_value(port, value, detail::Posting::try_post, kNoDeadline);
}

/// The same until a deadline: timed_out. Only for ports that have such a call.
template <MessagePortLike P, typename T>
requires detail::CanPostUntil<P> Status post_until(P& port, const T& value, Deadline deadline) {
  return detail::post_value(port, value, detail::Posting::post, deadline);
}
template <MessagePortLike P, typename T>
requires detail::CanPostUntil<P> Status post_for(P& port, const T& value, Duration timeout) {
  return post_until(port, value, deadline_in(timeout));
}

/// Like post, but visible to the peer only with the port's next publish(), or the next message posted.
template <detail::ClaimingPort P, typename T>
Status append(P& port, const T& value) {
  return detail::post_value(port, value, detail::Posting::append, kNoDeadline);
}

/// A received value, or the reason why there is none. Holds the message that it came in: that keeps its room in
/// the ring until this is destroyed, with the rules of Message. Views in the value are valid as long as this, and
/// until the same decoder decodes again. Thread-safety: the receiving thread.
template <typename T>
class [[nodiscard]] Received {
 public:
  /// The value of a message that was received otherwise.
  Received(Message message, Decoder& decoder) : message_(std::move(message)), status_(message_.status()) {
    if (status_ != Status::ok) return;
    try {
      value_.emplace(decoder.decode<T>(message_.bytes()));
    } catch (const error& failure) {
      if (failure.code().category() != category()) throw;
      status_ = Status::malformed;
      failure_ = failure.code();
      failure_text_ = failure.what();
    }
  }

  Received(Received&& other) noexcept(std::is_nothrow_move_constructible_v<T>)
      : message_(std::move(other.message_)),
        status_(std::exchange(other.status_, Status::closed)),
        value_(std::move(other.value_)),
        failure_(other.failure_),
        failure_text_(std::move(other.failure_text_)) {}
  Received& operator=(Received&& other) noexcept(std::is_nothrow_move_assignable_v<T>) {
    if (this == &other) return *this;
    value_ = std::move(other.value_);  // before the message that it may point into
    message_ = std::move(other.message_);
    status_ = std::exchange(other.status_, Status::closed);
    failure_ = other.failure_;
    failure_text_ = std::move(other.failure_text_);
    return *this;
  }
  ~Received() = default;

  /// ok, or why there is no value. The port's reason; or malformed: a message came, and is no T (failure_text()
  /// tells why); the next one can be received.
  Status status() const noexcept { return status_; }
  explicit operator bool() const noexcept { return status_ == Status::ok; }

  /// Only if there is a value.
  T& operator*() noexcept { return *value_; }
  const T& operator*() const noexcept { return *value_; }
  T* operator->() noexcept { return &*value_; }
  const T* operator->() const noexcept { return &*value_; }

  /// What is wrong with the message, and the code of codec::errc for it; empty if nothing is.
  const std::string& failure_text() const noexcept { return failure_text_; }
  std::error_code failure() const noexcept { return failure_; }

  /// The message's own: see Message. Its bytes may be the peer's memory.
  const Message& message() const noexcept { return message_; }
  std::uint64_t sequence() const noexcept { return message_.sequence(); }
  bool replayed() const noexcept { return message_.replayed(); }

 private:
  Message message_;
  Status status_;
  std::optional<T> value_;
  std::error_code failure_;
  std::string failure_text_;
};

// Receiving, with this thread's decoder or one of your own: with other limits, or in place.

/// The next message's value; waits for it.
template <typename T, PullPort P>
Received<T> receive(P& port, Decoder& decoder = thread_decoder()) {
  return {port.receive_until(kNoDeadline), decoder};
}
/// The same without waiting: would_block.
template <typename T, PullPort P>
Received<T> try_receive(P& port, Decoder& decoder = thread_decoder()) {
  return {port.try_receive(), decoder};
}
/// The same until a deadline: timed_out.
template <typename T, PullPort P>
Received<T> receive_until(P& port, Deadline deadline, Decoder& decoder = thread_decoder()) {
  return {port.receive_until(deadline), decoder};
}
template <typename T, PullPort P>
Received<T> receive_for(P& port, Duration timeout, Decoder& decoder = thread_decoder()) {
  return receive_until<T>(port, deadline_in(timeout), decoder);
}

/// A message handler that calls `take(value)`. A message that is no T throws sluice::error out of the handler:
/// the port's on_error is told, the message counts as handled, and delivery goes on (see MessagePortLike).
template <typename T, typename Take>
requires std::invocable<Take&, T&> MessageHandler handler(Take take, const DecodeOptions& options = {}) {
  return [take = std::move(take), decoder = Decoder(options)](std::span<const std::byte> message) mutable {
    T value = decoder.template decode<T>(message);
    take(value);
  };
}

}  // namespace sluice::codec

#pragma GCC visibility pop

// The answer to a call that a method gives later, on any thread.
//
//   actor.method("slow", [&](sluice::codec::Reply<int> reply, int number) {
//     workers.submit([reply = std::move(reply), number] { reply(compute(number)); });
//   });
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "sluice/codec/detail/pack_buffer.hpp"
#include "sluice/codec/frame.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

namespace detail {

/// A call of the other side's that isn't answered yet. Implemented by src/open_reply.hpp.
class OpenReply {
 public:
  OpenReply() = default;
  OpenReply(const OpenReply&) = delete;
  OpenReply& operator=(const OpenReply&) = delete;
  virtual ~OpenReply() = default;

  virtual void value(std::span<const std::byte> packed) noexcept = 0;
  virtual void fail(RemoteCode code, std::string_view text) noexcept = 0;
  virtual bool cancelled() const noexcept = 0;
  virtual void on_cancel(std::function<void()> call) = 0;
};

}  // namespace detail

/// Answers once; what comes later is dropped. If the last copy is destroyed without an answer, the caller gets an
/// error. Copyable: all copies are one. Thread-safety: any thread, at the same time, too.
template <typename R>
class Reply {
 public:
  explicit Reply(std::shared_ptr<detail::OpenReply> open) noexcept : open_(std::move(open)) {}

  /// Answers with a value (with none, if R is void). Throws what packing throws.
  template <typename V = R>
  requires(!std::is_void_v<V>) void operator()(const V& value) const {
    detail::PackBuffer packed;
    packed.pack(value);
    open_->value(packed.bytes());
  }
  template <typename V = R>
  requires std::is_void_v<V>
  void operator()() const {
    detail::PackBuffer packed;
    packed.pack(msgpack::type::nil_t());
    open_->value(packed.bytes());
  }
  /// Answers with an error; at most 1,024 bytes of the text arrive.
  void fail(std::string_view text) const { open_->fail(RemoteCode::failed, text); }

  /// Whether the caller has given up, or is gone.
  bool cancelled() const noexcept { return open_->cancelled(); }
  /// Has `call()` called when that happens, by the thread that runs the peer; at once if it has happened.
  void on_cancel(std::function<void()> call) const { open_->on_cancel(std::move(call)); }

 private:
  std::shared_ptr<detail::OpenReply> open_;
};

}  // namespace sluice::codec

#pragma GCC visibility pop

// A function that can be called by name, with packed arguments.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/codec/detail/pack_buffer.hpp"
#include "sluice/codec/error.hpp"
#include "sluice/codec/reply.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec::detail {

/// Thread-safety: what the function itself allows; peers on several threads may call it at the same time.
class Method {
 public:
  Method() = default;
  Method(const Method&) = delete;
  Method& operator=(const Method&) = delete;
  virtual ~Method() = default;

  /// Whether it answers later.
  virtual bool replies() const noexcept = 0;
  /// Packs what it returns into `result`; or answers through `reply`, if replies(). Throws BadArgument, and what the
  /// function throws.
  virtual void call(const msgpack::object& arguments, std::shared_ptr<OpenReply> reply,
                    PackBuffer& result) = 0;
};

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <typename T>
inline constexpr bool kIsReply = false;
template <typename R>
inline constexpr bool kIsReply<Reply<R>> = true;

/// Thrown for arguments that aren't those of the function.
struct BadArgument {
  std::string text;
};
[[noreturn]] void refuse_argument(std::size_t index, std::size_t expected, const msgpack::object& arguments);

/// The argument at `index`. One that didn't come is allowed if it is an optional, which then is empty; those beyond
/// what the function takes are passed over.
template <typename T>
T argument(const msgpack::object& arguments, std::size_t index, std::size_t expected) {
  T value{};
  if (index >= arguments.via.array.size) {
    if constexpr (kIsOptional<T>) return value;
    refuse_argument(index, expected, arguments);
  }
  try {
    arguments.via.array.ptr[index].convert(value);
  } catch (const std::bad_cast&) {
    refuse_argument(index, expected, arguments);
  }
  return value;
}

/// Packs what `call()` returns.
template <typename Call>
void pack_result(Call call, PackBuffer& result) {
  if constexpr (std::is_void_v<std::invoke_result_t<Call>>) {
    call();
    result.pack(msgpack::type::nil_t());
  } else {
    result.pack(call());
  }
}

template <typename F, typename Signature>
class BoundMethod;

template <typename F, typename R, typename... Args>
class BoundMethod<F, R(Args...)> final : public Method {
 public:
  explicit BoundMethod(F function) : function_(std::move(function)) {}

  bool replies() const noexcept override { return false; }
  void call(const msgpack::object& arguments, std::shared_ptr<OpenReply> /*reply*/,
            PackBuffer& result) override {
    call_with(arguments, result, std::index_sequence_for<Args...>());
  }

 private:
  template <std::size_t... Index>
  void call_with([[maybe_unused]] const msgpack::object& arguments, PackBuffer& result,
                 std::index_sequence<Index...> /*unused*/) {
    // Braces: evaluated in order.
    std::tuple<std::decay_t<Args>...> values{
        argument<std::decay_t<Args>>(arguments, Index, sizeof...(Args))...};
    pack_result([&]() -> decltype(auto) { return std::apply(function_, std::move(values)); }, result);
  }

  F function_;
};

template <typename F, typename Answer, typename... Args>
class BoundMethod<F, void(Reply<Answer>, Args...)> : public Method {
 public:
  explicit BoundMethod(F function) : function_(std::move(function)) {}

  bool replies() const noexcept override { return true; }
  void call(const msgpack::object& arguments, std::shared_ptr<OpenReply> reply,
            PackBuffer& /*result*/) override {
    call_with(arguments, std::move(reply), std::index_sequence_for<Args...>());
  }

 private:
  template <std::size_t... Index>
  void call_with([[maybe_unused]] const msgpack::object& arguments, std::shared_ptr<OpenReply> reply,
                 std::index_sequence<Index...> /*unused*/) {
    std::tuple<std::decay_t<Args>...> values{
        argument<std::decay_t<Args>>(arguments, Index, sizeof...(Args))...};
    std::apply([&](auto&&... value) { function_(Reply<Answer>(std::move(reply)), std::move(value)...); },
               std::move(values));
  }

  F function_;
};

template <typename F, typename Answer, typename... Args>
class BoundMethod<F, void(const Reply<Answer>&, Args...)> final
    : public BoundMethod<F, void(Reply<Answer>, Args...)> {
 public:
  using BoundMethod<F, void(Reply<Answer>, Args...)>::BoundMethod;
};

/// The signature of a callable with one operator(), or of a function pointer.
template <typename F>
struct SignatureOf : SignatureOf<decltype(std::function(std::declval<F>()))> {};
template <typename R, typename... Args>
struct SignatureOf<std::function<R(Args...)>> {
  using type = R(Args...);
};

template <typename F>
std::shared_ptr<Method> bind(F function) {
  using Signature = typename SignatureOf<F>::type;
  return std::make_shared<BoundMethod<F, Signature>>(std::move(function));
}

}  // namespace sluice::codec::detail

#pragma GCC visibility pop

// A function object that may hold what can't be copied, such as a lambda that owns a unique_ptr.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace sluice::base {

template <typename Signature>
class MoveOnlyFunction;

template <typename T>
inline constexpr bool kMayBeEmpty = std::is_pointer_v<T>;
template <typename Signature>
inline constexpr bool kMayBeEmpty<std::function<Signature>> = true;

/// Like std::function, but only movable. Small callables lie inside it, others on the heap; moving never
/// throws. Calling an empty one throws std::bad_function_call. Thread-safety: a value type.
template <typename R, typename... Args>
class MoveOnlyFunction<R(Args...)> {
 public:
  MoveOnlyFunction() noexcept = default;
  // NOLINTNEXTLINE(google-explicit-constructor): as std::function
  MoveOnlyFunction(std::nullptr_t) noexcept {}

  /// Holds `callable`; empty if that is an empty std::function or a null pointer.
  template <typename F>
  requires(!std::is_base_of_v<MoveOnlyFunction, std::remove_cvref_t<F>> &&
           std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
      // NOLINTNEXTLINE(google-explicit-constructor,bugprone-forwarding-reference-overload): as std::function
      MoveOnlyFunction(F&& callable) {
    using T = std::decay_t<F>;
    if constexpr (kMayBeEmpty<T>) {
      if (!callable) return;
    }
    if constexpr (kFitsInside<T>) {
      new (room_.data()) T(std::forward<F>(callable));
    } else {
      new (room_.data()) T*(new T(std::forward<F>(callable)));
    }
    call_ = &call_held<T>;
    kind_ = &kKindOf<T>;
  }

  MoveOnlyFunction(MoveOnlyFunction&& other) noexcept { take(other); }
  MoveOnlyFunction& operator=(MoveOnlyFunction&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  MoveOnlyFunction(const MoveOnlyFunction&) = delete;
  MoveOnlyFunction& operator=(const MoveOnlyFunction&) = delete;
  ~MoveOnlyFunction() { reset(); }

  explicit operator bool() const noexcept { return kind_ != nullptr; }

  R operator()(Args... args) { return call_(room_.data(), std::forward<Args>(args)...); }

 private:
  static constexpr std::size_t kRoomBytes = 4 * sizeof(void*);

  // NOLINTBEGIN(misc-redundant-expression): for one type the two sides may well be equal
  template <typename T>
  static constexpr bool kFitsInside =
      sizeof(T) <= kRoomBytes &&
      alignof(T) <= alignof(std::max_align_t) && std::is_nothrow_move_constructible_v<T>;
  // NOLINTEND(misc-redundant-expression)

  /// What differs between the types held.
  struct Kind {
    void (*move)(std::byte* from, std::byte* to) noexcept;  ///< leaves nothing to destroy
    void (*destroy)(std::byte* room) noexcept;
  };

  template <typename T>
  static T& held(std::byte* room) noexcept {
    if constexpr (kFitsInside<T>) {
      return *std::launder(reinterpret_cast<T*>(room));
    } else {
      return **std::launder(reinterpret_cast<T**>(room));
    }
  }

  template <typename T>
  static R call_held(std::byte* room, Args... args) {
    if constexpr (std::is_void_v<R>) {
      std::invoke(held<T>(room), std::forward<Args>(args)...);
    } else {
      return std::invoke(held<T>(room), std::forward<Args>(args)...);
    }
  }
  static R call_nothing(std::byte* /*room*/, Args... args) {
    // Throws, in a program built without exceptions too: the throw is the C++ library's.
    return std::function<R(Args...)>{}(std::forward<Args>(args)...);
  }

  template <typename T>
  static void move_held(std::byte* from, std::byte* to) noexcept {
    if constexpr (kFitsInside<T>) {
      new (to) T(std::move(held<T>(from)));
      held<T>(from).~T();
    } else {
      new (to) T*(&held<T>(from));
    }
  }

  template <typename T>
  static void destroy_held(std::byte* room) noexcept {
    if constexpr (kFitsInside<T>) {
      held<T>(room).~T();
    } else {
      delete &held<T>(room);
    }
  }

  template <typename T>
  static constexpr Kind kKindOf{&move_held<T>, &destroy_held<T>};

  /// With nothing held here.
  void take(MoveOnlyFunction& other) noexcept {
    if (other.kind_ == nullptr) return;
    other.kind_->move(other.room_.data(), room_.data());
    call_ = std::exchange(other.call_, &call_nothing);
    kind_ = std::exchange(other.kind_, nullptr);
  }

  void reset() noexcept {
    call_ = &call_nothing;
    // Empty before the callable goes: its destructor may look here.
    if (const Kind* kind = std::exchange(kind_, nullptr)) kind->destroy(room_.data());
  }

  R (*call_)(std::byte* room, Args... args) = &call_nothing;
  const Kind* kind_ = nullptr;
  alignas(std::max_align_t) std::array<std::byte, kRoomBytes> room_;
};

}  // namespace sluice::base

#pragma GCC visibility pop

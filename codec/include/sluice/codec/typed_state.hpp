// Values in a StateStore, packed as msgpack.
//
//   sluice::codec::save(store, "todos", Todos{});
//   std::optional<Todos> todos = sluice::codec::load<Todos>(store, "todos");
//
//   sluice::codec::update_with_retry<Todos>(store, "todos", [](Todos& todos) { todos.add("milk"); });
//
// Types are those of typed_port.hpp. Each call throws what the store throws.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <msgpack.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "sluice/base/deadline.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/state_store.hpp"
#include "sluice/codec/variant.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

template <typename T>
struct Versioned {
  T value{};
  StateVersion version = 0;  ///< 0: nothing is stored
};

namespace detail {

inline std::span<const std::byte> bytes_of(const msgpack::sbuffer& packed) {
  return std::as_bytes(std::span(packed.data(), packed.size()));
}

/// Packs a state. Throws what decoding it within these limits would throw: what is saved can be loaded.
template <typename T>
msgpack::sbuffer packed_state(const T& value, DecodeOptions limits) {
  msgpack::sbuffer packed;
  msgpack::pack(packed, value);
  limits.in_place = true;
  static_cast<void>(Decoder(limits).decode<msgpack::object>(bytes_of(packed)));
  return packed;
}

}  // namespace detail

/// The value under the key and its version; nothing if there is none. Throws as Decoder::decode() if it is no T.
template <typename T>
std::optional<Versioned<T>> load_with_version(const StateStore& store, std::string_view key,
                                              const DecodeOptions& limits = {}) {
  const std::optional<StoredState> state = store.load_with_version(key);
  if (!state) return std::nullopt;
  return Versioned<T>{Decoder(limits).decode<T>(state->bytes), state->version};
}

/// The same without the version.
template <typename T>
std::optional<T> load(const StateStore& store, std::string_view key, const DecodeOptions& limits = {}) {
  auto state = load_with_version<T>(store, key, limits);
  if (!state) return std::nullopt;
  return std::move(state->value);
}

/// Saves over whatever is there; returns the new version. Refuses a value that load() with the same limits
/// would refuse.
template <typename T>
StateVersion save(StateStore& store, std::string_view key, const T& value, const DecodeOptions& limits = {}) {
  return store.save(key, detail::bytes_of(detail::packed_state(value, limits)));
}

/// The same if the stored value has this version (0: if there is none); else throws VersionConflict.
template <typename T>
StateVersion save_if_version(StateStore& store, std::string_view key, const T& value, StateVersion expected,
                             const DecodeOptions& limits = {}) {
  return store.save_if_version(key, detail::bytes_of(detail::packed_state(value, limits)), expected);
}

/// Loads the value (T{} if there is none), lets `transform(value)` change it and saves it. Throws VersionConflict
/// if somebody else saved meanwhile, and what `transform` throws: nothing is saved then. Returns what was saved.
template <typename T, std::invocable<T&> Transform>
Versioned<T> update(StateStore& store, std::string_view key, Transform&& transform,
                    const DecodeOptions& limits = {}) {
  auto state = load_with_version<T>(store, key, limits).value_or(Versioned<T>{});
  std::invoke(transform, state.value);
  state.version = save_if_version(store, key, state.value, state.version, limits);
  return state;
}

struct RetryOptions {
  unsigned attempts = 100;  ///< in all; at least 1
  /// The wait after the first conflict. Each is twice the one before it, up to `longest_wait`, and shortened by a
  /// random part of up to a half, so that two writers don't meet again and again.
  Duration first_wait = std::chrono::milliseconds(1);
  Duration longest_wait = std::chrono::milliseconds(100);
  Deadline deadline = kNoDeadline;  ///< no attempt begins after it
};

namespace detail {

/// Counts the attempts of one update, and waits between them.
class Retries {
 public:
  /// Throws errc::bad_option (of sluice).
  explicit Retries(const RetryOptions& options);
  /// Throws the conflict if it was the last attempt's, and errc::timed_out (of sluice) at the deadline.
  void wait_after(const VersionConflict& conflict);

 private:
  RetryOptions options_;
  unsigned failed_ = 0;
  std::chrono::nanoseconds wait_;
};

}  // namespace detail

/// update() again and again until nobody else saves meanwhile. `transform` is called once an attempt, each time
/// with the newest value. Throws the last VersionConflict if all attempts end with one, errc::timed_out (of sluice)
/// if the next one would begin after the deadline, errc::bad_option (of sluice), and what update() throws.
template <typename T, std::invocable<T&> Transform>
Versioned<T> update_with_retry(StateStore& store, std::string_view key, Transform&& transform,
                               const RetryOptions& retry = {}, const DecodeOptions& limits = {}) {
  detail::Retries retries(retry);
  for (;;) {
    try {
      return update<T>(store, key, transform, limits);
    } catch (const VersionConflict& conflict) {
      retries.wait_after(conflict);
    }
  }
}

}  // namespace sluice::codec

#pragma GCC visibility pop

// Where states are kept between two runs of a program: bytes under a key, each with a version.
//
//   const auto before = store.load_with_version("orders");
//   const sluice::codec::StateVersion version = before ? before->version : 0;
//   store.save_if_version("orders", bytes, version);    // VersionConflict if somebody else saved meanwhile
//
// typed_state.hpp has the same for values, and updates. Stores: memory_state_store.hpp keeps states in memory,
// sealed/sealed_state_store.hpp (library sluice::sealed_state) in encrypted files. A store of your own, over a
// database say, implements the five calls: a row a key, with its version, and a condition on it when saving.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/codec/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// Says which save of a key a state is of. Versions of a key only grow, and none comes a second time, also not
/// after the state was removed. 0: there is no state.
using StateVersion = std::uint64_t;

struct StoredState {
  std::vector<std::byte> bytes;
  StateVersion version = 0;  ///< 1 or more
};

/// Largest state that the stores of this library take by default, in bytes.
inline constexpr std::size_t kMaxStateBytes = std::size_t{64} << 20;

/// The state that is stored isn't the one that the caller has seen: errc::version_conflict.
class VersionConflict : public error {
 public:
  VersionConflict(std::string_view key, StateVersion expected, StateVersion actual);

  StateVersion expected() const noexcept { return expected_; }
  StateVersion actual() const noexcept { return actual_; }

 private:
  StateVersion expected_;
  StateVersion actual_;
};

/// States by key. A key has 1 to 64 bytes of A-Z a-z 0-9 . _ - and doesn't begin with a dot (errc::bad_name of
/// sluice). A state is any bytes, none included; errc::too_large if they are more than the store takes.
///
/// A call that throws has changed nothing or everything, never a part: if a save or a removal throws something
/// else than VersionConflict, load to learn which. Implementations may be called from any thread; those of this
/// library throw errc::misuse (of sluice) in a forked child.
class StateStore {
 public:
  StateStore() = default;
  StateStore(const StateStore&) = delete;
  StateStore& operator=(const StateStore&) = delete;
  virtual ~StateStore() = default;

  /// Nothing if there is no state under the key.
  virtual std::optional<StoredState> load_with_version(std::string_view key) const = 0;

  virtual bool exists(std::string_view key) const = 0;

  /// Saves over whatever is there. Returns the new version, which is larger than every earlier one of the key.
  StateVersion save(std::string_view key, std::span<const std::byte> state) {
    return replace(key, state, std::nullopt);
  }

  /// The same if the stored state has the version `expected`, or if there is none and that is 0; else throws
  /// VersionConflict. Nobody, in whatever process, can save between the look and the save.
  StateVersion save_if_version(std::string_view key, std::span<const std::byte> state,
                               StateVersion expected) {
    return replace(key, state, expected);
  }

  /// Forgets the state; false if there was none. Its versions are not used again.
  virtual bool remove(std::string_view key) = 0;

  /// load_with_version() without the version.
  std::optional<std::vector<std::byte>> load(std::string_view key) const;

 private:
  /// save() if nothing is expected, else save_if_version().
  virtual StateVersion replace(std::string_view key, std::span<const std::byte> state,
                               std::optional<StateVersion> expected) = 0;
};

}  // namespace sluice::codec

#pragma GCC visibility pop

// States that live as long as the process.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/codec/state_store.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// States in memory, as long as this object lives: for tests, and for actors that need no more. What was
/// removed takes no memory.
class MemoryStateStore final : public StateStore {
 public:
  /// `max_bytes`: of one state.
  explicit MemoryStateStore(std::size_t max_bytes = kMaxStateBytes) : max_bytes_(max_bytes) {}

  std::optional<StoredState> load_with_version(std::string_view key) const override;
  bool exists(std::string_view key) const override;
  bool remove(std::string_view key) override;

 private:
  void check(std::string_view key) const;
  StateVersion replace(std::string_view key, std::span<const std::byte> state,
                       std::optional<StateVersion> expected) override;

  const base::OwnerProcess owner_;
  const std::size_t max_bytes_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, StoredState, std::less<>> states_;
  StateVersion removed_ = 0;  // the largest version that was removed, of any key: new states begin behind it
};

}  // namespace sluice::codec

#pragma GCC visibility pop

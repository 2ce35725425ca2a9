#include "sluice/codec/memory_state_store.hpp"

#include <algorithm>
#include <utility>

#include "sluice/codec/detail/state_rules.hpp"

namespace sluice::codec {

void MemoryStateStore::check(std::string_view key) const {
  owner_.check("a store of states in memory");
  detail::check_state_key(key);
}

std::optional<StoredState> MemoryStateStore::load_with_version(std::string_view key) const {
  check(key);
  const std::lock_guard lock(mutex_);
  const auto place = states_.find(key);
  if (place == states_.end()) return std::nullopt;
  return place->second;
}

bool MemoryStateStore::exists(std::string_view key) const {
  check(key);
  const std::lock_guard lock(mutex_);
  return states_.contains(key);
}

StateVersion MemoryStateStore::replace(std::string_view key, std::span<const std::byte> state,
                                       std::optional<StateVersion> expected) {
  check(key);
  detail::check_state_size(key, state.size(), max_bytes_);
  StoredState fresh{{state.begin(), state.end()}, 0};
  const std::lock_guard lock(mutex_);
  const auto place = states_.find(key);
  const StateVersion present = place == states_.end() ? 0 : place->second.version;
  if (expected) detail::check_version(key, *expected, present);
  const StateVersion next = (present == 0 ? removed_ : present) + 1;
  fresh.version = next;
  if (place == states_.end()) {
    states_.emplace(key, std::move(fresh));
  } else {
    place->second = std::move(fresh);
  }
  return next;
}

bool MemoryStateStore::remove(std::string_view key) {
  check(key);
  const std::lock_guard lock(mutex_);
  const auto place = states_.find(key);
  if (place == states_.end()) return false;
  removed_ = std::max(removed_, place->second.version);
  states_.erase(place);
  return true;
}

}  // namespace sluice::codec

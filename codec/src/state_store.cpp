#include "sluice/codec/state_store.hpp"

#include <string>
#include <utility>

#include "sluice/base/detail/names.hpp"
#include "sluice/codec/detail/state_rules.hpp"

namespace sluice::codec {
namespace {

/// Of a key that was checked.
std::string name_of(std::string_view key) {
  return "state \"" + std::string(key) + '"';
}

std::string text_of(StateVersion version) {
  return version == 0 ? "no state" : "version " + std::to_string(version);
}

}  // namespace

VersionConflict::VersionConflict(std::string_view key, StateVersion expected, StateVersion actual)
    : error(errc::version_conflict,
            name_of(key) + ": expected " + text_of(expected) + ", got " + text_of(actual)),
      expected_(expected),
      actual_(actual) {}

std::optional<std::vector<std::byte>> StateStore::load(std::string_view key) const {
  auto state = load_with_version(key);
  if (!state) return std::nullopt;
  return std::move(state->bytes);
}

namespace detail {

void check_state_key(std::string_view key) {
  base::check_name("state key", key);
}

void check_state_size(std::string_view key, std::size_t bytes, std::size_t most) {
  if (bytes <= most) return;
  throw error(errc::too_large, name_of(key) + ": expected at most " + std::to_string(most) + " bytes, got " +
                                   std::to_string(bytes));
}

void check_version(std::string_view key, StateVersion expected, StateVersion actual) {
  if (expected != actual) throw VersionConflict(key, expected, actual);
}

}  // namespace detail
}  // namespace sluice::codec

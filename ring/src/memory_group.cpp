#include "memory_group.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

namespace sluice::ring {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

/// The names that one version of the interface gives to its files.
struct Names {
  const char* limit;
  const char* used;
  std::array<std::string_view, 3> reclaimable;  // in memory.stat
};

constexpr Names kVersion2{
    "memory.max", "memory.current", {"inactive_file", "active_file", "slab_reclaimable"}};
constexpr Names kVersion1{
    "memory.limit_in_bytes", "memory.usage_in_bytes", {"total_inactive_file", "total_active_file", ""}};

/// The number in a file; `otherwise` if there is none ("max").
std::uint64_t number_in(const std::filesystem::path& file, std::uint64_t otherwise) {
  std::uint64_t number = 0;
  return std::ifstream(file) >> number ? number : otherwise;
}

std::uint64_t reclaimable_bytes(const std::filesystem::path& folder, const Names& names) {
  std::ifstream statistics(folder / "memory.stat");
  std::uint64_t sum = 0;
  std::uint64_t bytes = 0;
  for (std::string name; statistics >> name >> bytes;) {
    if (std::find(names.reclaimable.begin(), names.reclaimable.end(), name) != names.reclaimable.end())
      sum += bytes;
  }
  return sum;
}

std::uint64_t room_in(const std::filesystem::path& folder, const Names& names) {
  const std::uint64_t limit = number_in(folder / names.limit, kUnlimited);
  if (limit == kUnlimited) return kUnlimited;
  const std::uint64_t used = number_in(folder / names.used, 0);
  const std::uint64_t kept = used - std::min(used, reclaimable_bytes(folder, names));
  return limit - std::min(limit, kept);
}

}  // namespace

std::uint64_t room_in_memory_group(std::filesystem::path folder, const std::filesystem::path& top) {
  std::uint64_t room = kUnlimited;
  for (;;) {
    room = std::min({room, room_in(folder, kVersion2), room_in(folder, kVersion1)});
    if (folder == top || !folder.has_relative_path()) return room;
    folder = folder.parent_path();
  }
}

std::uint64_t room_in_memory_group() {
  const std::filesystem::path mount = "/sys/fs/cgroup";
  std::ifstream groups("/proc/self/cgroup");  // lines of number:controllers:path
  std::uint64_t room = kUnlimited;
  for (std::string line; std::getline(groups, line);) {
    const std::size_t path_at = line.rfind(":/");
    if (path_at == std::string::npos) continue;
    const std::string path = line.substr(path_at + 2);
    if (line.starts_with("0::")) room = std::min(room, room_in_memory_group(mount / path, mount));
    if (line.find(":memory:") != std::string::npos)
      room = std::min(room, room_in_memory_group(mount / "memory" / path, mount / "memory"));
  }
  return room;
}

}  // namespace sluice::ring

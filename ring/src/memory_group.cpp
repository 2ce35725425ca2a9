#include "memory_group.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string>
#include <string_view>

#include "sluice/base/descriptor.hpp"

namespace sluice::ring {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kNoRealLimit = std::uint64_t{1} << 62U;  // version 1 gives a number for none
constexpr std::size_t kLongestFile = 8192;

/// The names that one version of the interface gives to its files.
struct Names {
  const char* limit;
  const char* used;
  std::array<std::string_view, 3> reclaimable;  // in memory.stat
};

constexpr Names kVersion2{
    "/memory.max", "/memory.current", {"inactive_file", "active_file", "slab_reclaimable"}};
constexpr Names kVersion1{
    "/memory.limit_in_bytes", "/memory.usage_in_bytes", {"total_inactive_file", "total_active_file", ""}};

/// Nothing if it can't be read.
std::string content_of(const std::string& file) {
  const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  std::string content(kLongestFile, '\0');
  const ssize_t count = descriptor ? ::read(descriptor.get(), content.data(), content.size()) : 0;
  content.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return content;
}

/// The number that a text begins with; `otherwise` if there is none ("max").
std::uint64_t number_at(std::string_view text, std::uint64_t otherwise) {
  std::uint64_t number = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::uint64_t reclaimable_bytes(const std::string& folder, const Names& names) {
  std::string statistics(1, '\n');
  statistics += content_of(folder + "/memory.stat");
  std::uint64_t sum = 0;
  for (const std::string_view name : names.reclaimable) {
    std::string line_start(1, '\n');
    line_start.append(name).append(1, ' ');
    const std::size_t at = statistics.find(line_start);
    if (at != std::string::npos)
      sum += number_at(std::string_view(statistics).substr(at + line_start.size()), 0);
  }
  return sum;
}

/// Looks no further once it has found room for `wanted`.
std::uint64_t room_in(const std::string& folder, const Names& names, std::uint64_t wanted) {
  const std::uint64_t limit = number_at(content_of(folder + names.limit), kUnlimited);
  if (limit >= kNoRealLimit) return kUnlimited;
  const std::uint64_t used = number_at(content_of(folder + names.used), 0);
  if (used <= limit && limit - used >= wanted) return limit - used;
  const std::uint64_t kept = used - std::min(used, reclaimable_bytes(folder, names));
  return limit - std::min(limit, kept);
}

}  // namespace

std::uint64_t room_in_memory_group(std::string folder, std::string_view top, std::uint64_t wanted) {
  std::uint64_t room = kUnlimited;
  for (;;) {
    room = std::min({room, room_in(folder, kVersion2, wanted), room_in(folder, kVersion1, wanted)});
    if (folder.size() <= top.size()) return room;
    folder.resize(std::max(folder.rfind('/'), top.size()));
  }
}

std::uint64_t room_in_memory_group(std::uint64_t wanted) {
  const std::string mount = "/sys/fs/cgroup";
  const std::string older_mount = "/sys/fs/cgroup/memory";
  const std::string groups = content_of("/proc/self/cgroup");  // lines of number:controllers:path
  std::uint64_t room = kUnlimited;
  for (std::size_t begin = 0; begin < groups.size();) {
    const std::size_t end = std::min(groups.find('\n', begin), groups.size());
    const std::string line = groups.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t path_at = line.rfind(":/");
    if (path_at == std::string::npos) continue;
    const std::string path = line.size() == path_at + 2 ? "" : line.substr(path_at + 1);
    if (line.starts_with("0::")) room = std::min(room, room_in_memory_group(mount + path, mount, wanted));
    if (line.find(":memory:") != std::string::npos) {
      std::string folder = older_mount;
      room = std::min(room, room_in_memory_group(folder.append(path), older_mount, wanted));
    }
  }
  return room;
}

}  // namespace sluice::ring

// How much memory the control group of this process still allows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::ring {

/// The bytes that this process's group and those above it leave: the limit less what is in use, of which the
/// page cache can be given back; that is only counted if there is less than `wanted` otherwise. UINT64_MAX if
/// there's no limit, or nothing can be found out. The kernel's cgroup v2 and v1
/// (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst).
std::uint64_t room_in_memory_group(std::uint64_t wanted);

/// The same for a group by its folder, up to `top`.
std::uint64_t room_in_memory_group(std::string folder, std::string_view top, std::uint64_t wanted);

}  // namespace sluice::ring

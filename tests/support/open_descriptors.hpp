// What a leak test counts.
#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>

namespace sluice::test {

/// How many descriptors this process has open.
inline std::size_t open_descriptors() {
  // The directory iterator's own descriptor is among them.
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {})) -
         1;
}

}  // namespace sluice::test

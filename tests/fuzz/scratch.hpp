// Where a body puts the files that it makes of its input.
#pragma once

#include <filesystem>

#include "temp_directory.hpp"

namespace sluice::test {

/// In memory if the system has such a place.
inline const std::filesystem::path& scratch() {
  static const TempDirectory instance(
      std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path());
  return instance.path();
}

}  // namespace sluice::test

// A directory for one test, removed with everything in it.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace sluice::test {

/// A fresh directory of mode 0700, usually under the system's temporary directory; its name contains the
/// process number. Only the process that made it removes it.
class TempDirectory {
 public:
  explicit TempDirectory(const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
    std::string name = parent / ("sluice-test-" + std::to_string(owner_) + "-XXXXXX");
    if (::mkdtemp(name.data()) == nullptr)
      throw std::system_error(errno, std::system_category(), "mkdtemp " + name);
    path_ = name;
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  ~TempDirectory() {
    if (::getpid() != owner_) return;
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const noexcept { return path_; }

  /// The path of a file of this name in the directory.
  std::filesystem::path file(const std::string& name) const { return path_ / name; }

 private:
  pid_t owner_ = ::getpid();
  std::filesystem::path path_;
};

}  // namespace sluice::test

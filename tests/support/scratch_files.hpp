// Tests of files: bytes, scratch directories, and the code that a call throws.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

// Other tests have functions of these names for text: in one program they must not be the same.
namespace sluice::test::scratch {

using Bytes = std::vector<std::byte>;

inline Bytes to_bytes(std::string_view text) {
  const auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

/// Bytes that differ everywhere (xorshift32), so that misplaced ones are noticed.
inline Bytes pattern(std::size_t size, std::uint32_t seed = 2463534242U) {
  Bytes bytes(size);
  std::uint32_t x = seed;
  for (auto& byte : bytes) {
    x ^= x << 13U;
    x ^= x >> 17U;
    x ^= x << 5U;
    byte = static_cast<std::byte>(x & 0xffU);
  }
  return bytes;
}

/// The code that `work` throws; a test failure and an empty code where it doesn't.
template <typename Work>
std::error_code code_of(Work work) {
  try {
    work();
  } catch (const std::system_error& failure) {
    return failure.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

/// A directory of this test alone, removed with everything in it; in memory where the system has such a
/// place.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    const std::filesystem::path memory = "/dev/shm";
    const auto parent = ::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
    std::string name = (parent / "sluice-scratch-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::system_category(), name);
    path_ = name;
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline Bytes read_file(const std::filesystem::path& path) {
  Bytes bytes(std::filesystem::exists(path) ? std::filesystem::file_size(path) : 0);
  std::ifstream stream(path, std::ios::binary);
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(stream.gcount()));
  return bytes;
}

inline void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace sluice::test::scratch

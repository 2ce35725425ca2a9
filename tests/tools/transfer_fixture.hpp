// What the tests of sluice send and sluice recv share: a runtime directory of their own, and a deadline.
#pragma once

#include <sys/ioctl.h>

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "command.hpp"
#include "watchdog.hpp"

namespace sluice::test {

/// `count` bytes that look random and are the same every time.
inline std::string noise(std::size_t count, std::uint64_t state = 0x9e3779b97f4a7c15) {
  std::string bytes(count, '\0');
  for (char& byte : bytes) {
    state ^= state << 13U;
    state ^= state >> 7U;
    state ^= state << 17U;
    byte = static_cast<char>(state);
  }
  return bytes;
}

class TransferTest : public ::testing::Test {
 protected:
  TransferTest() { ::setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1); }

  Command send(std::vector<std::string> words, const Descriptor& input = {}) {
    return run("send", std::move(words), input, {});
  }
  Command recv(std::vector<std::string> words, const Descriptor& output = {}) {
    return run("recv", std::move(words), {}, output);
  }
  Command run(const std::string& verb, std::vector<std::string> words, const Descriptor& input,
              const Descriptor& output) {
    words.insert(words.begin(), {"sluice", verb});
    return {directory_, std::move(words), input, output};
  }

  std::string file(const std::string& name) const { return directory_.file(name); }
  std::filesystem::path socket() const { return directory_.path() / "sluice" / "channel"; }

  /// A directory for outputs alone, where leftovers can be seen.
  std::filesystem::path output_directory() const {
    auto path = directory_.path() / "out";
    std::filesystem::create_directory(path);
    return path;
  }
  static std::size_t files_in(const std::filesystem::path& path) {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path), {}));
  }

  TempDirectory directory_;
  Watchdog watchdog_{std::chrono::seconds(150), "a transfer"};
};

/// Whether everything that was written to the pipe has been read.
inline bool is_drained(const Pipe& pipe) {
  int waiting = -1;
  return ::ioctl(pipe.read.get(), FIONREAD, &waiting) == 0 && waiting == 0;
}

inline void write_to(const Descriptor& pipe, const std::string& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(pipe.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0) throw std::system_error(errno, std::system_category(), "write to a pipe");
    done += static_cast<std::size_t>(count);
  }
}

/// Reads exactly `count` bytes; fewer at the end.
inline std::string read_from(const Descriptor& pipe, std::size_t count) {
  std::string bytes(count, '\0');
  std::size_t done = 0;
  while (done < count) {
    const ssize_t got = ::read(pipe.get(), bytes.data() + done, count - done);
    if (got < 0) throw std::system_error(errno, std::system_category(), "read from a pipe");
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace sluice::test

// A program run as a user runs it: its exit status and what it said.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "child_process.hpp"
#include "places.hpp"
#include "sluice/base/descriptor.hpp"
#include "temp_directory.hpp"

namespace sluice::test {

inline constexpr std::chrono::seconds kPatience{60};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

/// Opens a file for a command's standard input or output.
inline Descriptor open_file(const std::filesystem::path& path, int flags) {
  Descriptor file(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  if (!file) throw std::system_error(errno, std::system_category(), "open " + path.string());
  return file;
}

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::system_category(), "pipe2");
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  Descriptor read;
  Descriptor write;
};

/// Repeats a look at something that another process changes, until it is true or patience ends.
template <class Condition>
::testing::AssertionResult comes_true(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline)
      return ::testing::AssertionFailure() << "it didn't come true";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return ::testing::AssertionSuccess();
}

/// A running program of the build's bin directory. Without descriptors, standard input and output are
/// /dev/null.
class Command {
 public:
  /// `before_exec` runs in the new process, just before it becomes the program.
  Command(const TempDirectory& directory, std::vector<std::string> words, const Descriptor& input = {},
          const Descriptor& output = {}, const std::function<void()>& before_exec = {})
      : errors_(directory.file("stderr-" + std::to_string(next_number()))), child_([&] {
          if (before_exec) before_exec();
          return execute(std::move(words), input.get(), output.get());
        }) {}

  pid_t pid() const { return child_.pid(); }
  void signal(int number) const { child_.signal(number); }

  /// The way it ended; a failure of the test if it runs on.
  ExitStatus wait() {
    const std::optional<ExitStatus> status = child_.wait_for(kPatience);
    if (status) return *status;
    ADD_FAILURE() << "the command didn't end";
    return {-1, 0};
  }

  /// Whether it has ended by then.
  bool ended_within(std::chrono::milliseconds time) const { return child_.ended_within(time); }

  /// What it wrote to standard error.
  std::string errors() const { return read_file(errors_); }

  /// Whether it fails with that exit code and one line on standard error that contains `words`.
  ::testing::AssertionResult fails(int code, const std::string& words) {
    const ExitStatus status = wait();
    const std::string text = errors();
    if (status.code != code) {
      return ::testing::AssertionFailure()
             << "expected exit code " << code << ", got " << to_string(status) << ": " << text;
    }
    if (std::count(text.begin(), text.end(), '\n') != 1 || text.back() != '\n' ||
        text.find(words) == std::string::npos) {
      return ::testing::AssertionFailure() << "expected one line with \"" << words << "\", got: " << text;
    }
    return ::testing::AssertionSuccess();
  }

  /// Whether it exits with 0 and says nothing.
  ::testing::AssertionResult succeeds() {
    const ExitStatus status = wait();
    const std::string text = errors();
    if (status.ok() && text.empty()) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << to_string(status) << ": " << text;
  }

 private:
  static int next_number() {
    static std::atomic<int> number{0};
    return number.fetch_add(1);
  }

  int execute(std::vector<std::string> words, int input, int output) const {
    const Descriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const Descriptor errors = open_file(errors_, O_CREAT | O_WRONLY);
    ::dup2(input >= 0 ? input : nothing.get(), STDIN_FILENO);
    ::dup2(output >= 0 ? output : nothing.get(), STDOUT_FILENO);
    ::dup2(errors.get(), STDERR_FILENO);
    words.front() = sluice::test::bin_dir() + "/" + words.front();
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execv(arguments.front(), arguments.data());
    return 127;
  }

  std::filesystem::path errors_;
  ChildProcess child_;
};

/// Whether the process sleeps in the kernel, by /proc.
inline bool is_asleep(pid_t pid) {
  const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  const auto name_end = stat.rfind(')');
  return name_end != std::string::npos && stat.size() > name_end + 2 && stat[name_end + 2] == 'S';
}

}  // namespace sluice::test

// Scripts of the tests, which speak our formats without our code.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "child_process.hpp"
#include "temp_directory.hpp"

namespace sluice::test {

/// How a script ended, and what it wrote to standard output and standard error.
struct ScriptResult {
  ExitStatus status;
  std::string output;
};

/// Runs the system's Python (not another one in PATH, whose packages would be others) with these arguments.
inline ScriptResult run_python(std::vector<std::string> arguments) {
  const TempDirectory directory;
  const auto place = directory.file("output");
  ChildProcess child([&] {
    const Descriptor output(::open(place.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    ::dup2(output.get(), STDOUT_FILENO);
    ::dup2(output.get(), STDERR_FILENO);
    arguments.insert(arguments.begin(), {"python3", "-B"});
    std::vector<char*> words;
    for (std::string& word : arguments) words.push_back(word.data());
    words.push_back(nullptr);
    ::execv("/usr/bin/python3", words.data());
    return 127;
  });
  const auto status = child.wait_for(std::chrono::seconds(60));
  std::ifstream output(place, std::ios::binary);
  return {status.value_or(ExitStatus{-1, 0}), {std::istreambuf_iterator<char>(output), {}}};
}

/// Whether the system's Python has this module.
inline bool python_has(const std::string& module) {
  return run_python({"-c", "import " + module}).status.ok();
}

}  // namespace sluice::test

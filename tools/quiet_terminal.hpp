// Passphrases: asked for on the terminal, or read from a descriptor.
#pragma once

#include <string>

#include "sluice/base/descriptor.hpp"

namespace sluice::tools {

/// Reads up to the first line end, at most 1024 bytes; `name` is for messages.
std::string read_passphrase(int fd, const std::string& name);

/// The process's terminal with its echo off, one object at a time. The echo comes back when it is destroyed,
/// and before a signal ends or stops the process (SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP); a process that
/// is continued goes on without echo.
class QuietTerminal {
 public:
  QuietTerminal();
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
  ~QuietTerminal();

  std::string ask(const std::string& question);

 private:
  void say(const std::string& text);

  Descriptor fd_;
};

}  // namespace sluice::tools

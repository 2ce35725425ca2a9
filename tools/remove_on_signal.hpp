// Files that must not outlive this process when a signal ends it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace sluice::tools {

/// While it lives, SIGHUP, SIGINT and SIGTERM remove the file before they end the process, unless they were
/// ignored before (as by nohup). The process then ends by that signal, as its parent expects. A few objects
/// at a time; made and destroyed on one thread. The file may be gone, or not be there yet.
class RemoveOnSignal {
 public:
  explicit RemoveOnSignal(const std::filesystem::path& path);
  RemoveOnSignal(const RemoveOnSignal&) = delete;
  RemoveOnSignal& operator=(const RemoveOnSignal&) = delete;
  ~RemoveOnSignal();

 private:
  std::string path_;  // absolute
  std::size_t slot_ = 0;
};

}  // namespace sluice::tools

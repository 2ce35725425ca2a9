// One of the two ends of a session: whose it is while its owner lives, also while nobody else does.
#pragma once

#include <deque>
#include <filesystem>
#include <string>

#include "lock_file.hpp"

namespace sluice::ipc {

/// The locks of the end `role` ("host", "join") of the session at `path`: one for its name, and one for its
/// files, which another name or another path may lead to. The processes that compete for one end are of one
/// user. Thread-safety: none.
class SessionEnd {
 public:
  /// `ring_file`: where this end's region is kept; empty: in memory. Throws errc::unsafe_place and the system's
  /// error.
  SessionEnd(const std::filesystem::path& path, const std::string& role,
             const std::filesystem::path& ring_file);

  /// False as long as another process, or another port of this one, owns the end.
  bool try_to_own();
  bool owned() const noexcept;
  /// In place of a living owner, with the consent of the other end.
  void take_over();
  /// Whether somebody did that to this owner.
  bool was_replaced() const noexcept;

  /// Removes the region that the last owner of an end left, unless it has another owner.
  static void remove_file_of_nobody(const std::filesystem::path& ring_file) noexcept;

 private:
  std::deque<LockFile> locks_;
};

}  // namespace sluice::ipc

// The system calls that can lose data, behind a table: tests replace entries to make them fail or to die
// there.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>

namespace sluice::crypto {

struct FileOps {
  ssize_t (*write)(int fd, const void* bytes, std::size_t size);
  int (*fsync)(int fd);
  int (*rename)(int directory, const char* from, const char* to);
  int (*open_unnamed)(
      int directory);  // O_TMPFILE: a file that nobody else sees, and that needs no cleaning up
};

/// The table in use: plain system calls. Only tests write to it, before they start threads.
FileOps& file_ops() noexcept;

/// Writes everything: retries short writes and EINTR, waits where a non-blocking descriptor is full.
/// Throws with errno and `name`.
void write_all(int fd, std::span<const std::byte> bytes, const std::string& name);

/// Makes a file's bytes durable. Throws with errno and `name`; a failed fsync is never
/// repeated.
void sync_fd(int fd, const std::string& name);

/// The same for the names in a directory, where its file system can do that.
void sync_directory(int fd, const std::string& name);

/// Takes the lock of an open file (flock, with LOCK_EX or LOCK_EX | LOCK_NB), which ends with the descriptor.
/// With LOCK_NB: false where somebody else has it. Throws with errno and `name`.
bool lock_file(int fd, int how, const std::string& name);

}  // namespace sluice::crypto

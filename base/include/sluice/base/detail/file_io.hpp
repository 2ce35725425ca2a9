// Files and descriptors, to the last byte and to the disk. Everything throws the system's error as
// sluice::error, with `name` as the object.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::base {

/// The system calls that can lose data, behind a table: tests replace entries, to make them fail or to die
/// there.
struct FileOps {
  ssize_t (*write)(int fd, const void* bytes, std::size_t size);
  int (*fsync)(int fd);
  int (*rename)(int directory, const char* from, const char* to);
  int (*open_unnamed)(int directory, mode_t mode);  // O_TMPFILE: needs no cleaning up
};

/// The table in use: plain system calls. Only tests write to it, before they start threads.
FileOps& file_ops() noexcept;

/// Writes everything: goes on after short writes and interruptions, waits if a non-blocking descriptor is
/// full. A pipe without a reader is EPIPE, and what would exceed the process's limit on the size of files
/// (RLIMIT_FSIZE) is EFBIG: neither is a signal.
void write_all(int fd, std::span<const std::byte> bytes, const std::string& name);

/// The same at a place in a file.
void write_all_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset, const std::string& name);

/// Reads until `room` is full or the file ends; returns how many bytes came.
std::size_t read_all(int fd, std::span<std::byte> room, const std::string& name);

/// The same from a place in a file.
std::size_t read_all_at(int fd, std::span<std::byte> room, std::uint64_t offset, const std::string& name);

/// Makes a file's bytes durable. A failed fsync is never repeated.
void sync_file(int fd, const std::string& name);

/// The same for what may be of a kind that can't be synced (a directory on some file systems, a pipe, a
/// device).
void sync_if_possible(int fd, const std::string& name);

/// Takes the lock of an open file (flock), which ends with the descriptor. Never waits: false if somebody else
/// has it.
bool lock_file(int fd, const std::string& name);

/// Takes it from whoever gives it up in time, else false. Whoever can read a file can lock it: no lock is waited
/// for without an end.
bool lock_file_in_time(int fd, const std::string& name,
                       std::chrono::seconds patience = std::chrono::seconds(10));

/// Whether two descriptors are of the same file.
bool is_same_file(int one, int other) noexcept;

/// Whether `name` in `directory` (or below AT_FDCWD) is the file that is open as `fd`.
bool is_named(int fd, int directory, const std::string& name) noexcept;

/// Opens a file to read it. Never waits, for a FIFO's writer say. errc::unsafe_place if it is no regular
/// file.
Descriptor open_regular_file(const std::filesystem::path& path);

/// The names in an open directory, whatever has its path meanwhile; "." and ".." too.
std::vector<std::string> names_in(int directory, const std::string& name);

/// The directory that holds this path; `from` as for openat().
Descriptor open_directory_of(int from, const std::filesystem::path& path);

}  // namespace sluice::base

#pragma GCC visibility pop

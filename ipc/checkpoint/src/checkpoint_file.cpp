#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint_format.hpp"
#include "checkpoint_rules.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/detail/safe_directory.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/checkpoint/checkpoint.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using std::chrono::nanoseconds;

constexpr std::string_view kSuffix = ".checkpoint";
constexpr std::string_view kDraftSuffix = ".draft";
constexpr int kDraftAttempts = 16;

std::string file_name(std::string_view key) {
  return std::string(key) + std::string(kSuffix);
}

// Keys don't begin with a dot, so a draft never has the name of a checkpoint.
std::string new_draft_name(std::string_view key) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) throw_errno("getrandom");
  std::array<char, 24> digits{};
  std::snprintf(digits.data(), digits.size(), ".%016llx", static_cast<unsigned long long>(random));
  std::string name(1, '.');
  return name.append(key).append(kSuffix).append(digits.data()).append(kDraftSuffix);
}

bool is_draft_name(std::string_view name) {
  return name.starts_with('.') && name.ends_with(kDraftSuffix) &&
         name.find(kSuffix) != std::string_view::npos;
}

bool locked(const Descriptor& file) {
  return ::flock(file.get(), LOCK_EX | LOCK_NB) == 0;
}

// A file that becomes the checkpoint when it is complete. Its writer holds a lock on it, which ends with the
// process: a draft that can be locked has no writer any more.
class Draft {
 public:
  Draft(int directory, std::string_view key, const std::string& what) : directory_(directory), what_(what) {
    for (int attempt = 0; attempt < kDraftAttempts; ++attempt) {
      name_ = new_draft_name(key);
      file_.reset(::openat(directory_, name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
      if (!file_ && errno == EEXIST) continue;
      if (!file_) fail("creating its draft");
      if (locked(file_) && has_a_name()) return;
      // Between the creation and the lock somebody took the draft for a leftover and removes it.
      ::unlinkat(directory_, name_.c_str(), 0);
    }
    throw_errno(EAGAIN, what_ + ": creating its draft");
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft() {
    if (!name_.empty()) ::unlinkat(directory_, name_.c_str(), 0);
  }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("writing");
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    if (::fsync(file_.get()) != 0) fail("fsync");
  }

  void rename_to(const std::string& name) {
    if (::renameat(directory_, name_.c_str(), directory_, name.c_str()) != 0) fail("replacing it");
    name_.clear();
  }

 private:
  bool has_a_name() const {
    struct stat info {};
    return ::fstat(file_.get(), &info) == 0 && info.st_nlink > 0;
  }

  [[noreturn]] void fail(const char* step) const { throw_errno(errno, what_ + ": " + step); }

  int directory_;
  const std::string& what_;
  std::string name_;  // empty once it is renamed
  Descriptor file_;
};

struct DirectoryCloser {
  void operator()(DIR* stream) const noexcept { ::closedir(stream); }
};

void remove_leftover(int directory, const char* name) {
  const Descriptor draft(::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (draft && locked(draft)) ::unlinkat(directory, name, 0);
}

void remove_leftovers(int directory, const std::string& what) {
  Descriptor copy(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy) throw_errno(what);
  const std::unique_ptr<DIR, DirectoryCloser> stream(::fdopendir(copy.get()));
  if (!stream) throw_errno(what);
  static_cast<void>(copy.release());  // the stream's now
  while (const dirent* entry = ::readdir(stream.get())) {
    if (is_draft_name(static_cast<const char*>(entry->d_name)))
      remove_leftover(directory, static_cast<const char*>(entry->d_name));
  }
}

Descriptor open_private_directory(const fs::path& path) {
  const std::string what = "checkpoint directory " + base::quoted_text(path.native());
  Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat info {};
  if (!directory || ::fstat(directory.get(), &info) != 0) throw_errno(what);
  if (info.st_uid != ::geteuid() && info.st_uid != 0)
    throw error(errc::unsafe_place, what + " belongs to user " + std::to_string(info.st_uid));
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    std::array<char, 8> mode{};
    std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(info.st_mode & 07777U));
    throw error(errc::unsafe_place, what + " can be written by others: its mode is " + mode.data());
  }
  remove_leftovers(directory.get(), what);
  return directory;
}

// The whole file; one byte more than the largest checkpoint is enough to tell that it is none.
std::vector<std::byte> read_file(const Descriptor& file, const std::string& what) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) throw_errno(what);
  if (!S_ISREG(info.st_mode))
    throw error(checkpoint_errc::bad_checkpoint, what + ": expected a regular file");
  std::vector<std::byte> bytes(ipc::max_checkpoint_file_bytes() + 1);
  std::size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t part = ::read(file.get(), bytes.data() + got, bytes.size() - got);
    if (part < 0 && errno == EINTR) continue;
    if (part < 0) throw_errno(what);
    if (part == 0) break;
    got += static_cast<std::size_t>(part);
  }
  bytes.resize(got);
  return bytes;
}

nanoseconds age_at(const CheckpointMoment& now, const ipc::StoredCheckpoint& stored) {
  if (now.boot == stored.boot && now.since_boot >= stored.since_boot)
    return ipc::saturated_sum(stored.age, now.since_boot - stored.since_boot);
  // The machine has been booted since then: at least the time since the boot has passed.
  return std::max(ipc::wall_age(stored.checkpoint.time, now.wall),
                  ipc::saturated_sum(stored.age, std::max(now.since_boot, nanoseconds::zero())));
}

std::string described(const fs::path& directory, const std::string& name) {
  return "checkpoint file " + base::quoted_text((directory / name).native());
}

}  // namespace

FileCheckpoints::FileCheckpoints(const fs::path& directory, CheckpointOptions options)
    : options_(std::move(options)), path_(directory), directory_(open_private_directory(directory)) {
  ipc::check_checkpoint_options(options_);
}

void FileCheckpoints::store(std::string_view key, const StreamCheckpoint& checkpoint) {
  ipc::check_checkpoint_key(key);
  ipc::check_checkpoint(checkpoint);
  const CheckpointMoment now = options_.clock();
  const std::string name = file_name(key);
  const std::string what = described(path_, name);
  Draft draft(directory_.get(), key, what);
  draft.write(ipc::encode_checkpoint(
      key, {checkpoint, now.boot, now.since_boot, ipc::wall_age(checkpoint.time, now.wall)}));
  draft.rename_to(name);
  if (::fsync(directory_.get()) != 0) throw_errno(what + ": fsync of its directory");
}

LoadedCheckpoint FileCheckpoints::load(std::string_view key) const {
  ipc::check_checkpoint_key(key);
  const std::string name = file_name(key);
  const std::string what = described(path_, name);
  // O_NONBLOCK: a FIFO in its place must not hang us.
  const Descriptor file(
      ::openat(directory_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file && errno == ENOENT) return {};
  if (!file && errno == ELOOP)
    throw error(checkpoint_errc::bad_checkpoint, what + ": expected a regular file, got a symbolic link");
  if (!file) throw_errno(what);
  ipc::StoredCheckpoint stored = ipc::decode_checkpoint(read_file(file, what), key, what);
  const nanoseconds age = age_at(options_.clock(), stored);
  return ipc::judge_checkpoint(std::move(stored.checkpoint), age, options_.expiry);
}

bool FileCheckpoints::remove(std::string_view key) {
  ipc::check_checkpoint_key(key);
  const std::string name = file_name(key);
  if (::unlinkat(directory_.get(), name.c_str(), 0) != 0) {
    if (errno == ENOENT) return false;
    throw_errno(described(path_, name) + ": removing it");
  }
  if (::fsync(directory_.get()) != 0) throw_errno(described(path_, name) + ": fsync of its directory");
  return true;
}

}  // namespace sluice

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint_format.hpp"
#include "checkpoint_rules.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/detail/safe_directory.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/checkpoint/checkpoint.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using std::chrono::nanoseconds;

constexpr std::string_view kSuffix = ".checkpoint";

std::string file_name(std::string_view key) {
  return std::string(key) + std::string(kSuffix);
}

Descriptor open_private_directory(const fs::path& path) {
  Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw_errno("checkpoint directory " + base::quoted_text(path.native()));
  base::check_safe_directory(directory.get(), path, ::geteuid(), base::OthersMay::read);
  base::AtomicFile::remove_leftovers(directory.get(), kSuffix);
  return directory;
}

// The whole file; one byte more than the largest checkpoint is enough to tell that it is none.
std::vector<std::byte> read_file(const Descriptor& file, const std::string& what) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) throw_errno(what);
  if (!S_ISREG(info.st_mode))
    throw error(checkpoint_errc::bad_checkpoint, what + ": expected a regular file");
  std::vector<std::byte> bytes(ipc::max_checkpoint_file_bytes() + 1);
  bytes.resize(base::read_all(file.get(), bytes, what));
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
  owner_.check("a checkpoint directory");
  ipc::check_checkpoint_key(key);
  ipc::check_checkpoint(checkpoint);
  const CheckpointMoment now = options_.clock();
  const std::string name = file_name(key);
  const std::vector<std::byte> bytes = ipc::encode_checkpoint(
      key, {checkpoint, now.boot, now.since_boot, ipc::wall_age(checkpoint.time, now.wall)});
  try {
    base::AtomicFile file(name, {.wait_for_others = true, .directory = directory_.get()});
    file.write(bytes);
    file.commit();
  } catch (const error& failure) {
    throw failure.about(described(path_, name));
  }
}

LoadedCheckpoint FileCheckpoints::load(std::string_view key) const {
  owner_.check("a checkpoint directory");
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
  owner_.check("a checkpoint directory");
  ipc::check_checkpoint_key(key);
  const std::string name = file_name(key);
  if (::unlinkat(directory_.get(), name.c_str(), 0) != 0) {
    if (errno == ENOENT) return false;
    throw_errno(described(path_, name) + ": removing it");
  }
  base::sync_file(directory_.get(), "the directory of " + described(path_, name));
  return true;
}

}  // namespace sluice

#include "sluice/codec/sealed/sealed_state_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "ring_with.hpp"
#include "sealed_file.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/detail/little_endian.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/detail/safe_directory.hpp"
#include "sluice/codec/detail/state_rules.hpp"

namespace sluice::codec {
namespace {

constexpr std::string_view kSuffix = ".state";
constexpr const char* kCounter = "versions";

Descriptor open_directory(const std::filesystem::path& path) {
  Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw_errno("directory of states " + base::quoted_text(path.native()));
  base::check_safe_directory(directory.get(), path, ::geteuid(), base::OthersMay::read);
  for (const std::string_view ending : {kSuffix, std::string_view(kCounter)})
    base::AtomicFile::remove_leftovers(directory.get(), ending);
  return directory;
}

/// Runs `work`, whose errors tell a file's name in its directory only.
template <typename Work>
auto telling(const std::string& what, Work work) {
  try {
    return work();
  } catch (const error& failure) {
    throw failure.about(what);
  }
}

}  // namespace

/// One file of the directory: a version, and what belongs to it. Valid as long as the store.
class SealedStateStore::File {
 public:
  File(const SealedStateStore& store, std::string name, std::string_view key)
      : store_(store),
        name_(std::move(name)),
        what_("file " + base::quoted_text((store.path_ / name_).native())),
        context_("sluice-state/" + store.options_.context + '/' + std::string(key)) {}

  bool exists() const {
    struct stat status {};
    if (::fstatat(directory(), name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return true;
    if (errno != ENOENT) throw_errno("stat " + what_);
    return false;
  }

  std::optional<StoredState> read() const {
    auto file = open();
    if (!file) return std::nullopt;
    const StateVersion version = read_version(*file);
    return StoredState{file->read_rest(store_.options_.max_bytes), version};
  }

  /// 0 if there is no such file.
  StateVersion version() const {
    auto file = open();
    return file ? read_version(*file) : 0;
  }

  /// Whoever has the next content has the file for himself, until it is committed or destroyed.
  base::AtomicFile begin() const {
    return telling(what_, [&] {
      return base::AtomicFile(name_, {.wait_for_others = true, .one_writer = true, .directory = directory()});
    });
  }

  void commit(base::AtomicFile& next, StateVersion version, std::span<const std::byte> state) const {
    std::array<std::byte, sizeof version> head{};
    base::store_le(head, 0, version);
    telling(what_, [&] {
      write_sealed(next, *store_.keys_.find(store_.key_), context_, head, state);
      next.commit();
    });
  }

  void remove() const {
    if (::unlinkat(directory(), name_.c_str(), 0) != 0) throw_errno("remove " + what_);
    base::sync_file(directory(), "the directory of " + what_ + " (the file is gone)");
  }

 private:
  int directory() const { return store_.directory_.get(); }

  std::optional<SealedFile> open() const {
    // O_NONBLOCK: a FIFO in its place must not hang us.
    Descriptor file(::openat(directory(), name_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file && errno == ENOENT) return std::nullopt;
    struct stat status {};
    const bool link_or_socket = !file && (errno == ELOOP || errno == ENXIO);
    if (link_or_socket || (file && ::fstat(file.get(), &status) == 0 && !S_ISREG(status.st_mode)))
      throw error(sluice::errc::unsafe_place, what_ + ": expected a regular file");
    if (!file) throw_errno("open " + what_);
    return std::optional<SealedFile>(std::in_place, std::move(file), what_, store_.keys_, context_);
  }

  static StateVersion read_version(SealedFile& file) {
    std::array<std::byte, sizeof(StateVersion)> head{};
    file.read(head);
    return base::load_le<StateVersion>(head, 0);
  }

  const SealedStateStore& store_;
  const std::string name_;
  const std::string what_;
  const std::string context_;
};

SealedStateStore::SealedStateStore(const std::filesystem::path& directory, crypto::SecretKey key,
                                   SealedStateOptions options, crypto::KeyRing old_keys)
    : options_(std::move(options)),
      path_(directory),
      directory_(open_directory(directory)),
      key_(key.id()),
      keys_(with(std::move(old_keys), std::move(key))) {}

SealedStateStore::File SealedStateStore::file_of(std::string_view key) const {
  owner_.check("a store of sealed states");
  detail::check_state_key(key);
  return {*this, std::string(key) + std::string(kSuffix), key};
}

SealedStateStore::File SealedStateStore::counter() const {
  return {*this, kCounter, {}};
}

std::optional<StoredState> SealedStateStore::load_with_version(std::string_view key) const {
  return file_of(key).read();
}

bool SealedStateStore::exists(std::string_view key) const {
  return file_of(key).exists();
}

StateVersion SealedStateStore::replace(std::string_view key, std::span<const std::byte> state,
                                       std::optional<StateVersion> expected) {
  const File file = file_of(key);
  detail::check_state_size(key, state.size(), options_.max_bytes);
  base::AtomicFile next = file.begin();
  const StateVersion present = file.version();
  if (expected) detail::check_version(key, *expected, present);
  const StateVersion version = (present == 0 ? counter().version() : present) + 1;
  file.commit(next, version, state);
  return version;
}

// First the counter: killed between the two, the state is still there, and a larger counter harms nothing.
bool SealedStateStore::remove(std::string_view key) {
  const File file = file_of(key);
  const base::AtomicFile held = file.begin();
  const StateVersion present = file.version();
  if (present == 0) return false;
  const File removed = counter();
  base::AtomicFile next = removed.begin();
  if (removed.version() < present) removed.commit(next, present, {});
  file.remove();
  return true;
}

}  // namespace sluice::codec

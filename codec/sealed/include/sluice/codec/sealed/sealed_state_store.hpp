// States in encrypted files.
//
//   sluice::codec::SealedStateStore store("/var/lib/todos", sluice::crypto::load_key_file("todos.key"));
//
// Files in the directory:
//
//   KEY.state   sealed for the context "sluice-state/CONTEXT/KEY": the version (8 bytes, little-endian), the state
//   versions    sealed for the context "sluice-state/CONTEXT/": the largest version that was removed, of any key
//
// New states get versions behind the second one: that is all that is kept of removed states.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/codec/state_store.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/key/secret_key.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

struct SealedStateOptions {
  std::string context{};                   ///< what the states are for: any bytes, the same for every opening
  std::size_t max_bytes = kMaxStateBytes;  ///< of one state
};

/// States in a directory, one file a key, of mode 0600. A process may be killed, and the power may fail, at any
/// moment: the state is the old one or the new one. Any number of processes may use one directory; each save
/// and each removal has its key for itself meanwhile, waits up to 10 s for another one (errc::busy of sluice
/// then), and at least twice for the disk.
///
/// A file that is damaged, sealed with another key, or another key's state is refused with a code of
/// crypto::errc; what is no regular file with errc::unsafe_place (of sluice). It can't be saved over or removed
/// either, since its version isn't known: whoever removes it by hand accepts that versions may come again.
/// Not noticed is an older file of the same key in its place.
class SealedStateStore final : public StateStore {
 public:
  /// The directory must exist, belong to this user or root, and nobody else may write to it (errc::unsafe_place
  /// of sluice). States are sealed with `key`, and opened with it or one of `old_keys`. Removes what killed
  /// writers left behind.
  SealedStateStore(const std::filesystem::path& directory, crypto::SecretKey key,
                   SealedStateOptions options = {}, crypto::KeyRing old_keys = {});

  std::optional<StoredState> load_with_version(std::string_view key) const override;
  bool exists(std::string_view key) const override;
  bool remove(std::string_view key) override;

 private:
  class [[gnu::visibility("hidden")]] File;

  [[gnu::visibility("hidden")]] File file_of(std::string_view key) const;
  [[gnu::visibility("hidden")]] File counter() const;
  StateVersion replace(std::string_view key, std::span<const std::byte> state,
                       std::optional<StateVersion> expected) override;

  const base::OwnerProcess owner_;
  const SealedStateOptions options_;
  const std::filesystem::path path_;  // for messages
  const Descriptor directory_;
  const crypto::KeyId key_;  // what is written is sealed with
  const crypto::KeyRing keys_;
};

}  // namespace sluice::codec

#pragma GCC visibility pop

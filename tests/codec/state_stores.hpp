// Every kind of store, for tests of what all of them promise.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scratch_files.hpp"
#include "sluice/codec/memory_state_store.hpp"
#include "sluice/codec/state_store.hpp"
#ifdef SLUICE_HAS_CRYPTO
#include "sluice/codec/sealed/sealed_state_store.hpp"
#endif

namespace sluice::test {

using scratch::Bytes;
using scratch::to_bytes;

enum class StoreKind { memory, sealed };

inline std::vector<StoreKind> store_kinds() {
#ifdef SLUICE_HAS_CRYPTO
  return {StoreKind::memory, StoreKind::sealed};
#else
  return {StoreKind::memory};
#endif
}

inline std::string name_of(const ::testing::TestParamInfo<StoreKind>& kind) {
  return kind.param == StoreKind::memory ? "InMemory" : "InSealedFiles";
}

#ifdef SLUICE_HAS_CRYPTO
/// The same key every time; `number` makes it another one.
inline crypto::SecretKey test_key(unsigned char number = 7) {
  const Bytes bytes(crypto::SecretKey::kSize, std::byte{number});
  return crypto::SecretKey::from_bytes(bytes);
}
#endif

/// An empty store, in a directory of its own if it has files.
struct FreshStore {
  explicit FreshStore(StoreKind kind, std::size_t max_bytes = codec::kMaxStateBytes) {
    if (kind == StoreKind::memory) store = std::make_unique<codec::MemoryStateStore>(max_bytes);
#ifdef SLUICE_HAS_CRYPTO
    if (kind == StoreKind::sealed) {
      store = std::make_unique<codec::SealedStateStore>(directory.path(), test_key(),
                                                        codec::SealedStateOptions{.max_bytes = max_bytes});
    }
#endif
  }
  codec::StateStore* operator->() const {
    return store.get();
  }
  codec::StateStore& operator*() const {
    return *store;
  }

  scratch::ScratchDirectory directory;
  std::unique_ptr<codec::StateStore> store;
};

}  // namespace sluice::test

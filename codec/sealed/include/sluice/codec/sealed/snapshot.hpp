// One value in a sealed file: of an observed state, say, to be restored later or elsewhere.
//
//   sluice::codec::seal_snapshot("todos.sealed", key, todos.value());
//   todos = sluice::codec::open_snapshot<Todos>("todos.sealed", key);
//
// The file is sealed (AGCM version 2) for the context "sluice-snapshot/CONTEXT", and holds the packed value:
// `sluice open --context sluice-snapshot/CONTEXT` gives its bytes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <msgpack.hpp>
#include <span>
#include <string>
#include <vector>

#include "sluice/codec/decoder.hpp"
#include "sluice/codec/typed_state.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/key/secret_key.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

namespace detail {

void seal_bytes(const std::filesystem::path& path, const crypto::SecretKey& key,
                std::span<const std::byte> bytes, const std::string& context);
std::vector<std::byte> open_bytes(const std::filesystem::path& path, const crypto::Keys& keys,
                                  const std::string& context, std::size_t max_bytes);

}  // namespace detail

/// Seals a value into a file (mode 0600) that appears, or is replaced, when it is complete. The same `context` is
/// needed to open it. Refuses a value that open_snapshot() with the same limits would refuse. Throws the errors
/// of base::AtomicFile: the old file is still there then.
template <typename T>
void seal_snapshot(const std::filesystem::path& path, const crypto::SecretKey& key, const T& value,
                   const std::string& context = {}, const DecodeOptions& limits = {}) {
  detail::seal_bytes(path, key, detail::bytes_of(detail::packed_state(value, limits)), context);
}

/// The value in the file. Throws crypto::errc if it isn't authentic or was sealed with another key or context,
/// errc::unsafe_place (of sluice) if it is no regular file, and as Decoder::decode() if it is no T.
template <typename T>
T open_snapshot(const std::filesystem::path& path, const crypto::Keys& keys, const std::string& context = {},
                const DecodeOptions& limits = {}) {
  return Decoder(limits).decode<T>(detail::open_bytes(path, keys, context, limits.max_bytes));
}

}  // namespace sluice::codec

#pragma GCC visibility pop

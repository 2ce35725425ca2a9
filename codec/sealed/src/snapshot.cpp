#include "sluice/codec/sealed/snapshot.hpp"

#include "sealed_file.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/base/detail/file_io.hpp"

namespace sluice::codec::detail {
namespace {

std::string snapshot_context(const std::string& context) {
  return "sluice-snapshot/" + context;
}

}  // namespace

void seal_bytes(const std::filesystem::path& path, const crypto::SecretKey& key,
                std::span<const std::byte> bytes, const std::string& context) {
  base::AtomicFile file(path);
  write_sealed(file, key, snapshot_context(context), {}, bytes);
  file.commit();
}

std::vector<std::byte> open_bytes(const std::filesystem::path& path, const crypto::Keys& keys,
                                  const std::string& context, std::size_t max_bytes) {
  SealedFile file(base::open_regular_file(path), path.string(), keys, snapshot_context(context));
  return file.read_rest(max_bytes);
}

}  // namespace sluice::codec::detail

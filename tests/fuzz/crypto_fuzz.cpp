#include "crypto_fuzz.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "scratch.hpp"
#include "segment_file.hpp"
#include "sluice/crypto/inspect/inspect.hpp"
#include "sluice/crypto/journal/journal_format.hpp"
#include "sluice/crypto/journal/journal_reader.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/key_file.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"
#include "sluice/crypto/seal/files.hpp"
#include "sluice/crypto/seal/random_access_decryptor.hpp"
#include "sluice/crypto/seal/streaming_decryptor.hpp"
#include "sluice/crypto/seal/transfer.hpp"

namespace sluice::crypto::fuzz {
namespace {

using sluice::test::scratch;

const SecretKey& key() {
  static const SecretKey instance = [] {
    std::array<std::byte, SecretKey::kSize> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    return SecretKey::from_bytes(bytes);
  }();
  return instance;
}

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

// True where `work` throws nothing; sluice::error is the only exception that may come.
template <typename Work>
bool accepted(Work work) {
  try {
    work();
    return true;
  } catch (const error&) {
    return false;
  }
}

}  // namespace

void run_headers(std::span<const std::byte> bytes) {
  accepted([&] { AgcmHeader::decode(bytes); });
  accepted([&] { SegmentHeader::decode(bytes); });
  const auto file = scratch() / "key";
  write_file(file, bytes);
  ::chmod(file.c_str(), 0600);
  // A passphrase file may ask for much memory and time, within its bounds: don't go that far.
  accepted([&] { load_key_file(file); });
  accepted([&] { inspect_file(file); });
  accepted([&] { inspect_file(file, Format::c2sp); });
}

bool run_stream(std::span<const std::byte> bytes) {
  bool any = false;
  std::vector<std::byte> part(5000);
  for (const auto format : {Format::agcm, Format::c2sp}) {
    const OpenOptions options{.format = format};
    const bool streamed = accepted([&] {
      MemorySource source(bytes);
      StreamingDecryptor decryptor(source, key(), options);
      while (decryptor.read(part) > 0) {
      }
    });
    const bool transferred = accepted([&] {
      MemorySource source(bytes);
      VectorSink sink;
      open(source, sink, key(), options);
    });
    const bool random = accepted([&] {
      MemorySource source(bytes);
      RandomAccessDecryptor reader(source, key(), options);
      for (std::uint64_t offset = 0; reader.read(offset, part) > 0;) offset += part.size();
    });
    if (streamed != transferred || streamed != random) __builtin_trap();  // they must agree
    any = any || streamed;
  }
  accepted([&] {
    MemorySource source(bytes);
    VectorSink sink;
    open(source, sink, key(), {.allow_legacy_v1 = true});
  });
  return any;
}

bool run_journal(std::span<const std::byte> bytes) {
  const auto place = scratch() / "journal";
  std::filesystem::create_directories(place);
  for (const auto first : list_segments(OpenDirectory(place)))
    std::filesystem::remove(place / segment_name(first));
  std::filesystem::remove(place / "lock");  // it names the journal before
  write_file(place / segment_name(1), bytes);
  std::uint64_t records = 0;
  const bool read = accepted([&] { records = verify_journal(place, key()); });
  const bool reopened = accepted([&] {
    SealedJournal journal(place, key(), {.sync = SyncPolicy::none});
    journal.append(bytes.first(std::min<std::size_t>(bytes.size(), 100)));
    journal.close();
    // What recovery left must read from end to end, the new record included.
    if (verify_journal(place, key()) != records + 1) __builtin_trap();
  });
  if (read != reopened) __builtin_trap();
  return read;
}

}  // namespace sluice::crypto::fuzz

// A sealed journal: numbered records in an append-only log that can't be read, changed, cut or reordered
// unnoticed without its key.
//
//   build/release/bin/sluice keygen KEY
//   build/release/bin/journal KEY DIRECTORY add first second    expected output:   1: first
//   build/release/bin/journal KEY DIRECTORY add third                              2: second
//   build/release/bin/journal KEY DIRECTORY read 1                                 3: third
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <sluice/crypto.hpp>
#include <span>
#include <string>
#include <string_view>

namespace {

namespace crypto = sluice::crypto;

const std::string kContext = "sample journal";  // what these records are for; needed again to read them

void add(const crypto::SecretKey& key, const std::string& directory, std::span<char*> texts) {
  // Each append returns once its record is on the disk.
  crypto::SealedJournal journal(directory, key, {.context = kContext, .sync = crypto::SyncPolicy::each});
  if (const auto torn = journal.recovery().torn_bytes; torn > 0)
    std::fprintf(stderr, "cut off %llu bytes that a crash left\n", static_cast<unsigned long long>(torn));
  for (const std::string_view text : texts) journal.append(std::as_bytes(std::span(text)));
  journal.close();  // reports what the destructor couldn't
}

void read(const crypto::SecretKey& key, const std::string& directory, std::uint64_t from) {
  crypto::JournalReader reader(directory, key, kContext, from);
  while (const auto record = reader.next()) {
    const std::string text(reinterpret_cast<const char*>(record->bytes.data()), record->bytes.size());
    std::printf("%llu: %s\n", static_cast<unsigned long long>(record->sequence), text.c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 3 ? argv[3] : "";
  try {
    if (verb == "add") {
      add(crypto::load_key_file(argv[1]), argv[2],
          std::span(argv, static_cast<std::size_t>(argc)).subspan(4));
    } else if (verb == "read" && argc == 5) {
      read(crypto::load_key_file(argv[1]), argv[2], std::strtoull(argv[4], nullptr, 10));
    } else {
      std::fprintf(stderr, "usage: journal KEY DIRECTORY add TEXT... | read NUMBER\n");
      return 2;
    }
    return 0;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "journal: %s\n", failure.what());
    return 1;
  }
}

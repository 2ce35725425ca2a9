// Writes the inputs that the kept corpora began with: one valid thing of every kind that a fuzzer's body
// takes.
//
//   fuzz_seeds FOLDER     writes FOLDER/NAME/* for each fuzzer NAME
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "../crypto/support.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "sluice/crypto/key/key_file.hpp"

namespace sluice::crypto::test {
namespace {

enum Body : unsigned char { headers = 0, stream = 1, journal = 2 };

/// An input is the number of a body, then what that body takes.
void write_seed(const std::filesystem::path& path, unsigned char body, std::span<const std::byte> bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file.put(static_cast<char>(body));
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

void write_crypto(const std::filesystem::path& folder) {
  const auto key = test_key();
  for (const std::size_t size : {0U, 100U, 5000U}) {
    const auto name = std::to_string(size);
    const auto agcm = seal_bytes(pattern(size), key, {.chunk_bytes = 4096});
    write_seed(folder / ("agcm-" + name), Body::stream, agcm);
    write_seed(folder / ("agcm-header-" + name), Body::headers, agcm);
    write_seed(folder / ("c2sp-" + name), Body::stream,
               seal_bytes(pattern(size), key, {.format = Format::c2sp}));
  }
  auto v1 = to_bytes("AGCM");  // version 1: a header and lengths, with chunks that won't verify
  v1.resize(24 + 4 + 80);
  v1[4] = std::byte{1};
  v1[20] = std::byte{64};
  v1[24] = std::byte{80};
  write_seed(folder / "agcm-v1", Body::stream, v1);
  write_seed(folder / "agcm-v1-header", Body::headers, v1);

  const ScratchDirectory scratch;
  save_key_file(scratch / "key", key);
  write_seed(folder / "key-file", Body::headers, read_file(scratch / "key"));
  for (const int frames : {1, 3}) {
    const auto place = scratch / std::to_string(frames);
    SealedJournal writer(place, key, {.sync = SyncPolicy::none});
    for (int i = 0; i < frames; ++i) {
      writer.append(pattern(static_cast<std::size_t>(i) * 70));
      writer.flush();
    }
    writer.close();
    for (const auto& entry : std::filesystem::directory_iterator(place)) {
      if (entry.path().extension() != ".agcj") continue;
      write_seed(folder / ("journal-" + std::to_string(frames)), Body::journal, read_file(entry.path()));
    }
  }
}

/// Frames of port streams (bodies 1 to 3), the calls of the two state machines (4), and a whole stream (0).
void write_stream(const std::filesystem::path& folder) {
  constexpr unsigned char kStream = 0;
  constexpr unsigned char kFrames = 1;
  constexpr unsigned char kStates = 4;
  const std::array<std::byte, 5> head{};
  for (unsigned char type = 0; type < 5; ++type) {
    auto frame = Bytes(head.begin(), head.end());
    frame[0] = static_cast<std::byte>(type);
    write_seed(folder / ("frame-" + std::to_string(type)), kFrames, frame);
    for (const auto* text : {"\x80\x04\x01\x00", R"("why \u00e9 it ended")", "\"unfinished", "\xff\xfe"}) {
      auto with_payload = frame;
      for (const auto byte : to_bytes(text)) with_payload.push_back(byte);
      write_seed(folder / ("frame-" + std::to_string(type) + "-" + std::to_string(std::string(text).size())),
                 kFrames, with_payload);
    }
  }
  for (std::uint32_t number = 1; number <= 4; ++number) {
    write_seed(folder / ("states-" + std::to_string(number)), kStates, pattern(number * 100, number));
    write_seed(folder / ("stream-" + std::to_string(number)), kStream, pattern(number * 20, number));
  }
}

/// Of these fuzzers zeros are what is right, and the first byte says what happens.
void write_zeros(const std::filesystem::path& folder, unsigned char kinds) {
  const Bytes zeros(40);
  for (unsigned char kind = 0; kind < kinds; ++kind)
    write_seed(folder / ("right-" + std::to_string(kind)), kind, zeros);
}

}  // namespace
}  // namespace sluice::crypto::test

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: fuzz_seeds FOLDER\n", stderr);
    return 2;
  }
  const std::filesystem::path folder(argv[1]);
  sluice::crypto::test::write_crypto(folder / "crypto");
  sluice::crypto::test::write_stream(folder / "stream");
  sluice::crypto::test::write_zeros(folder / "handshake", 8);
  sluice::crypto::test::write_zeros(folder / "checkpoint", 5);
  return 0;
}

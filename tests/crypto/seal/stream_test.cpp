// Streaming: round trips over every kind of size, what a header must be, and what happens to damaged streams.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "chunk_cipher.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"
#include "sluice/crypto/seal/random_access_decryptor.hpp"
#include "sluice/crypto/seal/transfer.hpp"
#include "stream_start.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

constexpr std::size_t kChunk = 4096;
constexpr std::size_t kSealedChunk = kChunk + kTagSize;
const SealOptions kSmallChunks{.chunk_bytes = kChunk};

// Hands out at most so many bytes at once, and optionally fails after so many in all.
class SlowSource final : public ByteSource {
 public:
  SlowSource(std::span<const std::byte> bytes, std::size_t most, std::size_t fail_after = SIZE_MAX)
      : bytes_(bytes), most_(most), fail_after_(fail_after) {}
  std::size_t read(std::span<std::byte> into) override {
    if (position_ >= fail_after_) throw std::runtime_error("the cable was pulled");
    const std::size_t count =
        std::min({into.size(), most_, bytes_.size() - position_, fail_after_ - position_});
    std::ranges::copy(bytes_.subspan(position_, count), into.begin());
    position_ += count;
    return count;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t most_;
  std::size_t fail_after_;
  std::size_t position_ = 0;
};

class FailingSink final : public ByteSink {
 public:
  explicit FailingSink(std::size_t room) : room_(room) {}
  void write(std::span<const std::byte> bytes) override {
    if (bytes.size() > room_) throw std::runtime_error("full");
    room_ -= bytes.size();
  }

 private:
  std::size_t room_;
};

TEST(Stream, RoundTripsEveryBoundaryInEveryStepOfWritingAndReading) {
  const auto key = test_key();
  for (const std::size_t size :
       {0UL, 1UL, kChunk - 1, kChunk, kChunk + 1, 2 * kChunk, 2 * kChunk + 1, 3 * kChunk - 1}) {
    const auto plain = pattern(size);
    for (const std::size_t step : {1UL, 7UL, kChunk - 1, kChunk, kChunk + 1, 3 * kChunk}) {
      VectorSink sink;
      StreamingEncryptor encryptor(sink, key, kSmallChunks);
      for (std::size_t i = 0; i < size; i += step) {
        encryptor.write(std::span(plain).subspan(i, std::min(step, size - i)));
      }
      encryptor.close();
      ASSERT_EQ(sink.bytes().size(), sealed_size(size, kSmallChunks));

      SlowSource source(sink.bytes(), step);
      StreamingDecryptor decryptor(source, key);
      Bytes opened(size + 1);
      std::size_t done = 0;
      while (const auto count =
                 decryptor.read(std::span(opened).subspan(done, std::min(step, opened.size() - done)))) {
        done += count;
      }
      decryptor.close();
      ASSERT_EQ(Bytes(opened.begin(), opened.begin() + static_cast<std::ptrdiff_t>(done)), plain)
          << size << " bytes in steps of " << step;
    }
  }
}

TEST(Stream, RoundTripsEveryChunkSizeAndBothFormats) {
  const auto key = test_key();
  const auto plain = pattern(70'000);
  for (std::uint32_t chunk = AgcmHeader::kMinChunkSize; chunk <= AgcmHeader::kMaxChunkSize; chunk *= 2) {
    EXPECT_EQ(open_bytes(seal_bytes(plain, key, {.chunk_bytes = chunk}), key), plain) << chunk;
  }
  EXPECT_EQ(open_bytes(seal_bytes(plain, key, {.format = Format::c2sp}), key, {.format = Format::c2sp}),
            plain);
}

TEST(Stream, GoesThroughIostreams) {
  const auto key = test_key();
  const auto plain = pattern(3 * kChunk + 5);
  std::stringstream stream;
  OstreamSink sink(stream);
  StreamingEncryptor encryptor(sink, key, kSmallChunks);
  encryptor.write(plain);
  encryptor.close();
  IstreamSource source(stream);
  VectorSink opened;
  EXPECT_EQ(open(source, opened, key), plain.size());
  EXPECT_EQ(opened.bytes(), plain);
}

TEST(Stream, SealsTheSameBytesDifferentlyEachTime) {
  EXPECT_NE(seal_bytes(to_bytes("same"), test_key()), seal_bytes(to_bytes("same"), test_key()));
}

TEST(Stream, IsRefusedWithAnotherKeyOrContextBeforeAnyChunk) {
  const auto sealed = seal_bytes(pattern(100), test_key(), {.context = "billing"});
  const auto start = [&](const SecretKey& key, const std::string& context) {
    MemorySource source(sealed);
    StreamingDecryptor(source, key, {.context = context});  // no read
  };
  start(test_key(), "billing");
  EXPECT_EQ(code_of([&] { start(test_key(9), "billing"); }), errc::unknown_key);
  EXPECT_EQ(code_of([&] { start(test_key(), "Billing"); }), errc::not_authentic);
  EXPECT_EQ(code_of([&] { start(test_key(), ""); }), errc::not_authentic);
  EXPECT_EQ(code_of([&] { open_bytes(sealed, KeyRing()); }), errc::unknown_key);
}

TEST(Stream, OfC2spIsRefusedWithAnotherKeyOrContext) {
  const auto sealed =
      seal_bytes(pattern(100), test_key(), {.format = Format::c2sp, .chunk_bytes = 0, .context = "a"});
  const OpenOptions right{.format = Format::c2sp, .context = "a", .allow_legacy_v1 = false};
  const OpenOptions wrong{.format = Format::c2sp, .context = "b", .allow_legacy_v1 = false};
  EXPECT_EQ(open_bytes(sealed, test_key(), right), pattern(100));
  EXPECT_EQ(code_of([&] { open_bytes(sealed, test_key(), wrong); }), errc::not_authentic);
  EXPECT_EQ(code_of([&] { open_bytes(sealed, test_key(9), right); }), errc::not_authentic);
}

TEST(Stream, NamesWhatIsWrongInAHeader) {
  const auto good = seal_bytes(pattern(100), test_key());
  const auto code_with = [&](std::size_t offset, std::initializer_list<int> bytes) {
    auto bad = good;
    for (const int byte : bytes) bad[offset++] = static_cast<std::byte>(byte);
    return code_of([&] { open_bytes(bad, test_key()); });
  };
  EXPECT_EQ(code_with(0, {'X'}), errc::bad_magic);
  EXPECT_EQ(code_with(4, {3}), errc::bad_version);
  EXPECT_EQ(code_with(4, {1}), errc::legacy_refused);
  EXPECT_EQ(code_with(20, {0, 0, 0, 0}), errc::bad_chunk_size);
  EXPECT_EQ(code_with(20, {0xff, 0xff, 0xff, 0xff}), errc::bad_chunk_size);
  EXPECT_EQ(code_with(20, {0, 0x08, 0, 0}), errc::bad_chunk_size);  // 2 KiB
  EXPECT_EQ(code_with(20, {0, 0, 0, 1}), errc::bad_chunk_size);     // 16 MiB
  EXPECT_EQ(code_with(20, {1, 0, 1, 0}), errc::bad_chunk_size);     // no power of two
  EXPECT_EQ(code_with(20, {0, 0, 2, 0}), errc::not_authentic);      // another legal one
  EXPECT_EQ(code_with(36, {2}), errc::bad_algorithm);
  EXPECT_EQ(code_with(38, {1}), errc::bad_flags);
  EXPECT_EQ(code_with(40, {0, 0, 0, 0}), errc::unknown_key);
  EXPECT_EQ(code_with(56, {0, 0, 0, 0}), errc::not_authentic);
}

TEST(Stream, RefusesOptionsOutOfRange) {
  VectorSink sink;
  for (const std::uint32_t chunk : {1U, 4095U, 4097U, 65535U, 16U << 20U, 0xffffffffU}) {
    EXPECT_EQ(code_of([&] { StreamingEncryptor(sink, test_key(), {.chunk_bytes = chunk}); }),
              sluice::errc::bad_option);
  }
  const SealOptions c2sp{.format = Format::c2sp, .chunk_bytes = 65536, .context = {}};
  EXPECT_EQ(code_of([&] { StreamingEncryptor(sink, test_key(), c2sp); }), sluice::errc::bad_option);
  EXPECT_TRUE(sink.bytes().empty());
}

// Every way to open a stream must refuse what `damaged` holds, and hand out only what was sealed, from the
// start.
void expect_refused(std::span<const std::byte> damaged, std::span<const std::byte> plain,
                    const std::string& what) {
  const auto key = test_key();
  Bytes part(kChunk + 100);
  try {
    MemorySource source(damaged);
    StreamingDecryptor decryptor(source, key);
    std::size_t done = 0;
    while (const std::size_t count = decryptor.read(part)) {
      ASSERT_LE(done + count, plain.size()) << what;
      ASSERT_TRUE(std::equal(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count),
                             plain.begin() + static_cast<std::ptrdiff_t>(done)))
          << what;
      done += count;
    }
    FAIL() << what << ": accepted by the streaming reader";
  } catch (const error&) {
  }
  for (const unsigned workers : {1U, 2U}) {
    if (workers == 2 && damaged.size() % 7 != 0) continue;  // threads cost time: a sample is enough
    MemorySource source(damaged);
    VectorSink sink;
    EXPECT_THROW(open(source, sink, key, {}, {.workers = workers, .progress = {}, .cancel = {}}), error)
        << what;
    ASSERT_LE(sink.bytes().size(), plain.size()) << what;
    ASSERT_TRUE(std::equal(sink.bytes().begin(), sink.bytes().end(), plain.begin())) << what;
  }
  try {
    MemorySource source(damaged);
    RandomAccessDecryptor reader(source, key);
    Bytes all(reader.size());
    reader.read(0, all);
    FAIL() << what << ": accepted by the random-access reader";
  } catch (const error&) {
  }
}

TEST(DamagedStream, IsRefusedWithAnyBitFlipped) {
  const auto plain = pattern(kChunk + 37);
  const auto sealed = seal_bytes(plain, test_key(), kSmallChunks);
  auto damaged = sealed;
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    // Every bit of the header and of the last chunk, one bit of every other byte.
    const bool every_bit = i < AgcmHeader::kSize || i > sealed.size() - 60;
    for (unsigned bit = every_bit ? 0 : static_cast<unsigned>(i % 8); bit < 8; ++bit) {
      damaged[i] ^= static_cast<std::byte>(1U << bit);
      expect_refused(damaged, plain, "bit " + std::to_string(bit) + " of byte " + std::to_string(i));
      damaged[i] = sealed[i];
      if (!every_bit) break;
    }
    if (HasFailure()) return;
  }
}

TEST(DamagedStream, IsRefusedCutAtEveryLength) {
  const auto plain = pattern(kChunk + 37);
  const auto sealed = seal_bytes(plain, test_key(), kSmallChunks);
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    expect_refused(std::span(sealed).first(size), plain, "cut to " + std::to_string(size));
    if (HasFailure()) return;
  }
}

TEST(DamagedStream, IsRefusedCutAtEveryChunkBoundaryOfWholeChunks) {
  const auto plain = pattern(4 * kChunk);  // ends with an empty chunk
  const auto sealed = seal_bytes(plain, test_key(), kSmallChunks);
  for (std::size_t chunks = 0; chunks <= 4; ++chunks) {
    expect_refused(std::span(sealed).first(AgcmHeader::kSize + chunks * kSealedChunk), plain,
                   std::to_string(chunks));
  }
}

TEST(DamagedStream, IsRefusedWithAnythingAppended) {
  const auto plain = pattern(kChunk + 37);
  const auto sealed = seal_bytes(plain, test_key(), kSmallChunks);
  for (const std::size_t extra : {1UL, 15UL, 16UL, 17UL, kChunk, kChunk + 16, 2 * kChunk}) {
    auto longer = sealed;
    longer.insert(longer.end(), extra, std::byte{0});
    expect_refused(longer, plain, std::to_string(extra) + " zero bytes");
  }
  auto doubled = sealed;
  doubled.insert(doubled.end(), sealed.begin(), sealed.end());
  expect_refused(doubled, plain, "the stream after itself");
  auto last_again = sealed;
  last_again.insert(last_again.end(), sealed.end() - (37 + 16), sealed.end());
  expect_refused(last_again, plain, "the last chunk twice");
}

TEST(DamagedStream, IsRefusedWithAnyTwoChunksSwappedOneDroppedOrOneDoubled) {
  const auto plain = pattern(4 * kChunk + 37);
  const auto sealed = seal_bytes(plain, test_key(), kSmallChunks);
  const auto chunk = [&](std::size_t i) {
    const auto rest = std::span(sealed).subspan(AgcmHeader::kSize + i * kSealedChunk);
    return rest.first(std::min(rest.size(), kSealedChunk));
  };
  const auto assemble = [&](const std::vector<std::size_t>& order) {
    Bytes bytes(sealed.begin(), sealed.begin() + AgcmHeader::kSize);
    for (const auto i : order) bytes.insert(bytes.end(), chunk(i).begin(), chunk(i).end());
    return bytes;
  };
  ASSERT_EQ(assemble({0, 1, 2, 3, 4}), sealed);
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t j = i + 1; j < 5; ++j) {
      std::vector<std::size_t> order{0, 1, 2, 3, 4};
      std::swap(order[i], order[j]);
      expect_refused(assemble(order), plain, "swapped " + std::to_string(i) + " and " + std::to_string(j));
    }
    std::vector<std::size_t> dropped{0, 1, 2, 3, 4};
    dropped.erase(dropped.begin() + static_cast<std::ptrdiff_t>(i));
    expect_refused(assemble(dropped), plain, "dropped " + std::to_string(i));
    std::vector<std::size_t> doubled{0, 1, 2, 3, 4};
    doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(i), i);
    expect_refused(assemble(doubled), plain, "doubled " + std::to_string(i));
  }
}

TEST(DamagedStream, IsRefusedWithAChunkOfAnotherStreamOfTheSameKey) {
  const auto plain = pattern(2 * kChunk + 37);
  const auto sealed = seal_bytes(plain, test_key(), kSmallChunks);
  const auto other = seal_bytes(plain, test_key(), kSmallChunks);
  for (std::size_t i = 0; i < 3; ++i) {
    auto spliced = sealed;
    const std::size_t from = AgcmHeader::kSize + i * kSealedChunk;
    const std::size_t count = std::min(kSealedChunk, sealed.size() - from);
    std::copy_n(other.begin() + static_cast<std::ptrdiff_t>(from), count,
                spliced.begin() + static_cast<std::ptrdiff_t>(from));
    expect_refused(spliced, plain, "chunk " + std::to_string(i));
  }
  Bytes other_header(other.begin(), other.begin() + AgcmHeader::kSize);
  other_header.insert(other_header.end(), sealed.begin() + AgcmHeader::kSize, sealed.end());
  expect_refused(other_header, plain, "the header");
}

TEST(DamagedStream, KeepsItsErrorAndHandsOutTheGoodChunksFirst) {
  const auto plain = pattern(3 * kChunk);
  auto sealed = seal_bytes(plain, test_key(), kSmallChunks);
  sealed[AgcmHeader::kSize + 2 * kSealedChunk] ^= std::byte{1};
  MemorySource source(sealed);
  StreamingDecryptor decryptor(source, test_key());
  Bytes opened(4 * kChunk, std::byte{0xaa});
  EXPECT_EQ(decryptor.read(opened), 2 * kChunk);
  EXPECT_TRUE(std::equal(opened.begin(), opened.begin() + 2 * kChunk, plain.begin()));
  // What failed is wiped from the caller's memory.
  EXPECT_TRUE(std::all_of(opened.begin() + 2 * kChunk, opened.begin() + 3 * kChunk,
                          [](std::byte byte) { return byte == std::byte{0}; }));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(code_of([&] { decryptor.read(opened); }), errc::not_authentic);
  EXPECT_EQ(code_of([&] { decryptor.close(); }), errc::not_authentic);
}

TEST(Stream, ClosedBeforeItsEndIsIncomplete) {
  const auto sealed = seal_bytes(pattern(2 * kChunk), test_key(), kSmallChunks);
  MemorySource source(sealed);
  StreamingDecryptor decryptor(source, test_key());
  Bytes part(kChunk);
  decryptor.read(part);
  EXPECT_EQ(code_of([&] { decryptor.close(); }), errc::incomplete);
}

TEST(Stream, IsCompleteOnceAllItsBytesAreRead) {
  const auto sealed = seal_bytes(pattern(2 * kChunk), test_key(), kSmallChunks);
  MemorySource source(sealed);
  StreamingDecryptor decryptor(source, test_key());
  Bytes all(2 * kChunk);
  EXPECT_EQ(decryptor.read(all), all.size());
  decryptor.close();
}

TEST(Stream, NotClosedByItsWriterIsRefused) {
  VectorSink sink;
  {
    StreamingEncryptor encryptor(sink, test_key(), kSmallChunks);
    encryptor.write(pattern(kChunk + 1));
  }
  EXPECT_EQ(code_of([&] { open_bytes(sink.bytes(), test_key()); }), errc::not_authentic);
}

TEST(Stream, RefusesWritesAfterClose) {
  VectorSink sink;
  StreamingEncryptor encryptor(sink, test_key());
  encryptor.close();
  const auto size = sink.bytes().size();
  encryptor.close();
  EXPECT_EQ(sink.bytes().size(), size);
  EXPECT_EQ(code_of([&] { encryptor.write(pattern(1)); }), sluice::errc::misuse);
}

TEST(Stream, KeepsTheErrorOfASinkThatFails) {
  FailingSink sink(AgcmHeader::kSize + kSealedChunk);
  StreamingEncryptor encryptor(sink, test_key(), kSmallChunks);
  encryptor.write(pattern(kChunk));
  EXPECT_THROW(encryptor.write(pattern(kChunk)), std::runtime_error);
  EXPECT_THROW(encryptor.write(pattern(1)), std::runtime_error);
  EXPECT_THROW(encryptor.close(), std::runtime_error);
}

TEST(Stream, KeepsTheErrorOfASourceThatFailsInTheMiddle) {
  const auto plain = pattern(2 * kChunk);
  const auto sealed = seal_bytes(plain, test_key(), kSmallChunks);
  SlowSource source(sealed, 1000, AgcmHeader::kSize + kSealedChunk + 100);
  StreamingDecryptor decryptor(source, test_key());
  Bytes all(plain.size());
  EXPECT_EQ(decryptor.read(all), kChunk);
  EXPECT_THROW(decryptor.read(all), std::runtime_error);
  EXPECT_THROW(decryptor.read(all), std::runtime_error);
}

TEST(Stream, NeverOverrunsTheMemoryItIsGiven) {
  const auto plain = pattern(3 * kChunk);
  Bytes room(sealed_size(plain.size(), kSmallChunks) - 1);
  MemorySink sink(room);
  StreamingEncryptor encryptor(sink, test_key(), kSmallChunks);
  encryptor.write(plain);
  EXPECT_EQ(code_of([&] { encryptor.close(); }), errc::no_room);
}

TEST(ChunkCipher, StopsAtTheLastNumberThatANonceMayHave) {
  const StreamStart start = start_sealing(test_key(), {});
  ChunkCipher sealer(ChunkCipher::Direction::seal, start.keys);
  ChunkCipher opener(ChunkCipher::Direction::open, start.keys);
  Bytes sealed(1 + kTagSize);
  Bytes plain(1);
  sealer.seal(kMaxChunks - 1, pattern(1), sealed);
  EXPECT_TRUE(opener.open(kMaxChunks - 1, sealed, plain));
  EXPECT_EQ(code_of([&] { sealer.seal(kMaxChunks, pattern(1), sealed); }), errc::too_long);
  EXPECT_EQ(code_of([&] { (void)opener.open(kMaxChunks, sealed, plain); }), errc::too_long);
}

TEST(ChunkCipher, OpensAChunkOnlyUnderItsOwnNumber) {
  const StreamStart start = start_sealing(test_key(), {});
  ChunkCipher sealer(ChunkCipher::Direction::seal, start.keys);
  ChunkCipher opener(ChunkCipher::Direction::open, start.keys);
  Bytes sealed(100 + kTagSize);
  Bytes plain(100);
  for (const std::uint64_t number : {0ULL, 1ULL, 255ULL, 256ULL, 0x01020304ULL}) {
    sealer.seal(number, pattern(100), sealed);
    EXPECT_TRUE(opener.open(number, sealed, plain));
    EXPECT_EQ(plain, pattern(100));
    EXPECT_FALSE(opener.open(number ^ 1U, sealed, plain));
    EXPECT_EQ(plain, Bytes(100));
  }
}

}  // namespace
}  // namespace sluice::crypto::test

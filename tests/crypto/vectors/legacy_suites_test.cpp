// Streams of AGCM version 1, which we never write: read on request only, damaged ones as far as they are
// authentic.
#include <gtest/gtest.h>

#include "sluice/crypto/seal/random_access_decryptor.hpp"
#include "suites.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

using nlohmann::json;

class LegacySuites : public testing::TestWithParam<Origin> {
 protected:
  void SetUp() override {
    auto [content, missing] = suite(GetParam(), "agcm_v1", "agcm_v1.json");
    if (content.is_null()) GTEST_SKIP() << missing;
    file_ = std::move(content);
  }
  json file_;
};

INSTANTIATE_TEST_SUITE_P(From, LegacySuites, kBothOrigins, name_of);

const OpenOptions kLegacy{.format = Format::agcm, .context = {}, .allow_legacy_v1 = true};

TEST_P(LegacySuites, AreReadOnRequestOnly) {
  const auto key = SecretKey::from_bytes(hex_field(file_, "key_hex"));
  for (const auto& entry : file_.at("encrypt_vectors")) {
    if (!entry.contains("stream_hex")) continue;
    const auto stream = hex_field(entry, "stream_hex");
    const auto plain = pattern(entry.at("plaintext_size"));
    EXPECT_EQ(open_bytes(stream, key, kLegacy), plain);
    EXPECT_EQ(code_of([&] { open_bytes(stream, key); }), errc::legacy_refused);
    MemorySource source(stream);
    EXPECT_EQ(code_of([&] { RandomAccessDecryptor(source, key, kLegacy); }), errc::legacy_refused);
  }
}

TEST_P(LegacySuites, DamagedOnesAreReadNoFurtherThanTheirOwnReaderDid) {
  for (const auto& entry : file_.at("decrypt_cases")) {
    const auto name = entry.at("name").get<std::string>();
    const auto key = SecretKey::from_bytes(hex_field(entry, "key_hex"));
    const auto [plain, refusal] = read_until_refused(hex_field(entry, "stream_hex"), key, kLegacy);
    const bool whole = entry.at("published_reader_error").get<std::string>().empty();
    // Four zero bytes were an end of file to the published reader; to us a chunk length that makes no sense.
    const bool stricter = name == "zero_length_chunk_mid_stream";
    EXPECT_EQ(!refusal, whole && !stricter) << name;
    EXPECT_EQ(plain, hex_field(entry, "released_plaintext_hex")) << name;
  }
}

TEST(LegacyStream, NamesItsChunkSizeOutOfRange) {
  auto stream = to_bytes("AGCM");
  stream.resize(24);
  stream[4] = std::byte{1};
  const auto key = test_key();
  EXPECT_EQ(code_of([&] { open_bytes(stream, key, kLegacy); }), errc::bad_chunk_size);
  for (std::size_t i = 20; i < 24; ++i) stream[i] = std::byte{0xff};
  EXPECT_EQ(code_of([&] { open_bytes(stream, key, kLegacy); }), errc::bad_chunk_size);
  stream.pop_back();
  EXPECT_EQ(code_of([&] { open_bytes(stream, key, kLegacy); }), errc::short_header);
}

}  // namespace
}  // namespace sluice::crypto::test

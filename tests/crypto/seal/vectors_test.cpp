// Known answers: our own from an independent script, the public suites, and the published version 1 writer's
// streams.
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "digest.hpp"
#include "group_buffer.hpp"
#include "hkdf.hpp"
#include "places.hpp"
#include "sluice/crypto/journal/journal_reader.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"
#include "sluice/crypto/seal/random_access_decryptor.hpp"
#include "sluice/crypto/seal/transfer.hpp"
#include "stream_start.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

using nlohmann::json;

json load(const std::filesystem::path& path) {
  std::ifstream stream(path);
  return stream ? json::parse(stream) : json();
}

Bytes hex_field(const json& object, const char* name) {
  return from_hex(object.at(name).get<std::string>());
}

TEST(AgcmVectors, OfTheIndependentScriptAreWrittenAndRead) {
  const json file = load(sluice::test::source_dir() + "/tests/vectors/agcm_v2.json");
  ASSERT_EQ(file.at("cases").size(), 11U);
  for (const auto& entry : file.at("cases")) {
    const auto key = SecretKey::from_bytes(hex_field(entry, "key"));
    const auto plain = pattern(entry.at("plaintext_size"));
    const SealOptions options{.chunk_bytes = entry.at("chunk_size"), .context = entry.at("context")};
    Salt salt{};
    std::ranges::copy(hex_field(entry, "salt"), salt.begin());

    VectorSink sink;
    StreamingEncryptor encryptor(sink, start_sealing(key, options, salt));
    encryptor.write(plain);
    encryptor.close();
    EXPECT_EQ(sink.bytes().size(), entry.at("stream_size"));
    EXPECT_EQ(sha256_hex(sink.bytes()), entry.at("stream_sha256"));
    if (entry.contains("stream")) {
      EXPECT_EQ(open_bytes(hex_field(entry, "stream"), key, {.context = options.context}), plain);
    }
  }
}

// The hexadecimal lines (indented code) of a document.
Bytes hex_block(const std::filesystem::path& document) {
  std::ifstream stream(document);
  std::string digits;
  for (std::string line; std::getline(stream, line);) {
    const bool code =
        line.starts_with("    ") && line.find_first_not_of("0123456789abcdef", 4) == std::string::npos;
    if (code) digits += line.substr(4);
  }
  return from_hex(digits);
}

TEST(AgcmVectors, HoldTheExampleOfTheDocument) {
  const auto example = hex_block(sluice::test::source_dir() + "/docs/formats/agcm.md");
  const auto key = test_key();
  EXPECT_EQ(open_bytes(example, key, {.context = "billing/2024-05"}), pattern(37));
  const auto header = AgcmHeader::decode(example);
  VectorSink sink;
  StreamingEncryptor encryptor(
      sink,
      start_sealing(key, {.chunk_bytes = header.chunk_bytes, .context = "billing/2024-05"}, header.salt));
  encryptor.write(pattern(37));
  encryptor.close();
  EXPECT_EQ(sink.bytes(), example);
}

TEST(JournalVectors, OfTheIndependentScriptAndTheDocumentAreReadAndWritten) {
  const json file = load(sluice::test::source_dir() + "/tests/vectors/journal_v1.json");
  const auto segment = hex_field(file, "segment");
  EXPECT_EQ(hex_block(sluice::test::source_dir() + "/docs/formats/journal.md"), segment);
  const auto key = SecretKey::from_bytes(hex_field(file, "key"));
  const std::string context = file.at("context");

  const ScratchDirectory scratch;
  write_file(scratch / "00000000000000000001.agcj", segment);
  JournalReader reader(scratch.path(), key, context);
  const auto header = SegmentHeader::decode(segment);
  const auto bytes = header.encode();
  const SegmentKeys keys(key, std::span(bytes).first(SegmentHeader::kBoundSize), context);
  auto cipher = keys.cipher(ChunkCipher::Direction::seal);
  Bytes written(bytes.begin(), bytes.end());
  for (const auto& frame : file.at("frames")) {
    GroupBuffer group;
    for (const auto& text : frame) {
      const auto record = from_hex(text.get<std::string>());
      const auto next = reader.next();
      ASSERT_TRUE(next);
      EXPECT_EQ(Bytes(next->bytes.begin(), next->bytes.end()), record);
      group.add(record);
    }
    const auto sealed = group.seal(keys, cipher, written.size(), written.size());
    written.insert(written.end(), sealed.begin(), sealed.end());
  }
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(written, segment);
}

// ---- C2SP chunked encryption ----

Bytes inflate_hex(const std::string& text) {
  const auto compressed = from_hex(text);
  Bytes bytes(8U << 20U);
  uLongf size = bytes.size();
  if (::uncompress(reinterpret_cast<Bytef*>(bytes.data()), &size,
                   reinterpret_cast<const Bytef*>(compressed.data()), compressed.size()) != Z_OK) {
    throw std::runtime_error("vector doesn't inflate");
  }
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}

bool has_flag(const json& vector, const std::string& flag) {
  const auto& flags = vector.at("flags");
  return std::find(flags.begin(), flags.end(), flag) != flags.end();
}

// What a streaming reader hands out before the end or the error; `whole` says which of the two.
Bytes read_all(std::span<const std::byte> sealed, const SecretKey& key, const OpenOptions& options,
               bool& whole) {
  MemorySource source(sealed);
  Bytes plain;
  whole = false;
  try {
    StreamingDecryptor decryptor(source, key, options);
    Bytes part(16384);
    while (const auto count = decryptor.read(part)) {
      plain.insert(plain.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count));
    }
    whole = true;
  } catch (const error&) {
  }
  return plain;
}

bool last_chunk_is_authentic(std::span<const std::byte> sealed, const SecretKey& key,
                             const OpenOptions& options) {
  try {
    MemorySource source(sealed);
    const RandomAccessDecryptor reader(source, key, options);
    return true;
  } catch (const error&) {
    return false;
  }
}

void check_c2sp(const json& vector) {
  const auto key_bytes = hex_field(vector, "key");
  if (key_bytes.size() != SecretKey::kSize) {
    EXPECT_TRUE(has_flag(vector, "InvalidKeySize"));
    EXPECT_EQ(code_of([&] { SecretKey::from_bytes(key_bytes); }), sluice::errc::bad_option);
    return;
  }
  const auto key = SecretKey::from_bytes(key_bytes);
  const auto context = hex_field(vector, "ctx");
  const OpenOptions options{
      .format = Format::c2sp,
      .context = std::string(reinterpret_cast<const char*>(context.data()), context.size())};
  const auto sealed = inflate_hex(vector.at("ct"));
  const bool valid = vector.at("result") == "valid";

  bool whole = false;
  const auto plain = read_all(sealed, key, options, whole);
  EXPECT_EQ(whole, valid);
  if (valid || has_flag(vector, "PartialPlaintext")) {
    EXPECT_EQ(plain.size(), vector.at("msgLength"));
    EXPECT_EQ(sha512_hex(plain), vector.at("msgSha512"));
  } else {
    EXPECT_TRUE(plain.empty());
  }
  EXPECT_EQ(last_chunk_is_authentic(sealed, key, options), valid || has_flag(vector, "ValidFinalChunk"));

  VectorSink sink;
  MemorySource source(sealed);
  const TransferOptions two_workers{.workers = 2};
  if (valid) {
    EXPECT_EQ(open(source, sink, key, options, two_workers), plain.size());
  } else {
    EXPECT_THROW(open(source, sink, key, options, two_workers), error);
  }
  EXPECT_EQ(sink.bytes(), plain);
}

TEST(C2spVectors, OfThePublicSuiteGetTheirVerdicts) {
  const std::filesystem::path path =
      sluice::test::vectors_dir() + "/public/c2sp_chunked_encryption_aes_256_gcm_test.json";
  const json file = load(path);
  if (file.is_null()) GTEST_SKIP() << path << " isn't there";
  for (const auto& group : file.at("testGroups")) {
    for (const auto& vector : group.at("tests")) {
      SCOPED_TRACE(vector.at("comment").get<std::string>());
      check_c2sp(vector);
    }
  }
}

TEST(C2spVectors, AreWrittenAsTheyAreRead) {
  const std::filesystem::path path =
      sluice::test::vectors_dir() + "/public/c2sp_chunked_encryption_aes_256_gcm_test.json";
  const json file = load(path);
  if (file.is_null()) GTEST_SKIP() << path << " isn't there";
  for (const auto& vector : file.at("testGroups").at(0).at("tests")) {
    if (vector.at("result") != "valid") continue;
    const auto key = SecretKey::from_bytes(hex_field(vector, "key"));
    const auto context = hex_field(vector, "ctx");
    const std::string text(reinterpret_cast<const char*>(context.data()), context.size());
    const auto sealed = inflate_hex(vector.at("ct"));
    const auto plain = open_bytes(sealed, key, {.format = Format::c2sp, .context = text});
    Salt salt{};
    std::copy_n(sealed.begin(), salt.size(), salt.begin());
    VectorSink sink;
    StreamingEncryptor encryptor(
        sink, start_sealing(key, {.format = Format::c2sp, .chunk_bytes = 0, .context = text}, salt));
    encryptor.write(plain);
    encryptor.close();
    EXPECT_EQ(sink.bytes(), sealed) << vector.at("comment");
  }
}

TEST(HkdfVectors, OfThePublicSuiteGiveTheirResults) {
  const std::filesystem::path path = sluice::test::vectors_dir() + "/public/hkdf_sha512_test.json";
  const json file = load(path);
  if (file.is_null()) GTEST_SKIP() << path << " isn't there";
  for (const auto& group : file.at("testGroups")) {
    for (const auto& vector : group.at("tests")) {
      std::array<std::byte, 64> prk{};
      hkdf_extract(hex_field(vector, "salt"), hex_field(vector, "ikm"), prk);
      Bytes output(vector.at("size").get<std::size_t>());
      const auto info = hex_field(vector, "info");
      if (vector.at("result") == "valid") {
        hkdf_expand(prk, {info}, output);
        EXPECT_EQ(output, hex_field(vector, "okm")) << vector.at("tcId");
      } else {
        EXPECT_EQ(code_of([&] { hkdf_expand(prk, {info}, output); }), sluice::errc::bad_option)
            << vector.at("tcId");
      }
    }
  }
}

// ---- AGCM version 1 ----

class LegacyVectors : public testing::Test {
 protected:
  void SetUp() override {
    const std::filesystem::path path = sluice::test::vectors_dir() + "/agcm_v1.json";
    file_ = load(path);
    if (file_.is_null()) GTEST_SKIP() << path << " isn't there";
  }
  json file_;
};

const OpenOptions kLegacy{.format = Format::agcm, .context = {}, .allow_legacy_v1 = true};

TEST_F(LegacyVectors, OfThePublishedWriterAreReadOnRequestOnly) {
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

TEST_F(LegacyVectors, DamagedOnesAreReadNoFurtherThanThePublishedReaderDid) {
  for (const auto& entry : file_.at("decrypt_cases")) {
    const auto name = entry.at("name").get<std::string>();
    const auto key = SecretKey::from_bytes(hex_field(entry, "key_hex"));
    bool whole = false;
    const auto plain = read_all(hex_field(entry, "stream_hex"), key, kLegacy, whole);
    const bool published_ok = entry.at("published_reader_error").get<std::string>().empty();
    // Four zero bytes were an end of file to the published reader; to us a chunk length that makes no sense.
    const bool stricter = name == "zero_length_chunk_mid_stream";
    EXPECT_EQ(whole, published_ok && !stricter) << name;
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

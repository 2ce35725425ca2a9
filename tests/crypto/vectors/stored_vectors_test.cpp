// Known answers that lie in the project: made by the independent scripts of tests/vectors, printed in the
// documents.
#include <gtest/gtest.h>

#include <algorithm>

#include "digest.hpp"
#include "group_buffer.hpp"
#include "places.hpp"
#include "sluice/crypto/journal/journal_reader.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"
#include "stream_start.hpp"
#include "suites.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

using nlohmann::json;

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
  const auto mark = keys.encode({.durable = written.size()}, written.size());
  written.insert(written.end(), mark.begin(), mark.end());
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(written, segment);
}

}  // namespace
}  // namespace sluice::crypto::test

// Suites of sealed streams, valid and damaged: read with the verdicts they name, and written again.
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <map>

#include "digest.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"
#include "sluice/crypto/seal/random_access_decryptor.hpp"
#include "sluice/crypto/seal/transfer.hpp"
#include "stream_start.hpp"
#include "suites.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

using nlohmann::json;

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

// A suite's name of a refusal; nothing if it gives none.
std::error_code named(const std::string& name) {
  const std::map<std::string, errc> names{
      {"short_header", errc::short_header}, {"bad_magic", errc::bad_magic},
      {"bad_version", errc::bad_version},   {"bad_chunk_size", errc::bad_chunk_size},
      {"bad_flags", errc::bad_flags},       {"bad_algorithm", errc::bad_algorithm},
      {"unknown_key", errc::unknown_key},   {"not_authentic", errc::not_authentic}};
  return name.empty() ? std::error_code() : names.at(name);
}

void check_verdict(const json& vector, Format format) {
  const auto key_bytes = hex_field(vector, "key");
  if (key_bytes.size() != SecretKey::kSize) {
    EXPECT_TRUE(has_flag(vector, "InvalidKeySize"));
    EXPECT_EQ(code_of([&] { SecretKey::from_bytes(key_bytes); }), sluice::errc::bad_option);
    return;
  }
  const auto key = SecretKey::from_bytes(key_bytes);
  const OpenOptions options{.format = format, .context = text_field(vector, "ctx")};
  const auto sealed = inflate_hex(vector.at("ct"));
  const bool valid = vector.at("result") == "valid";

  const auto [plain, refusal] = read_until_refused(sealed, key, options);
  EXPECT_EQ(!refusal, valid);
  if (vector.contains("error")) {
    EXPECT_EQ(refusal, named(vector.at("error")));
  }
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

// The same stream again: same key, salt, chunk size, context and plaintext.
Bytes written_again(const Bytes& sealed, const json& vector, Format format) {
  const auto key = SecretKey::from_bytes(hex_field(vector, "key"));
  SealOptions options{.format = format, .context = text_field(vector, "ctx")};
  Salt salt{};
  if (format == Format::agcm) {
    const auto header = AgcmHeader::decode(sealed);
    options.chunk_bytes = header.chunk_bytes;
    salt = header.salt;
  } else {
    std::copy_n(sealed.begin(), salt.size(), salt.begin());
  }
  VectorSink sink;
  StreamingEncryptor encryptor(sink, start_sealing(key, options, salt));
  encryptor.write(open_bytes(sealed, key, {.format = format, .context = options.context}));
  encryptor.close();
  return sink.release();
}

// Runs `check` on every vector of a suite; skips the test if the suite isn't there.
template <typename Check>
void for_each(const Suite& suite, Check check) {
  if (suite.content.is_null()) GTEST_SKIP() << suite.missing;
  for (const auto& group : suite.content.at("testGroups")) {
    for (const auto& vector : group.at("tests")) {
      SCOPED_TRACE(vector.at("comment").get<std::string>());
      check(vector);
    }
  }
}

Suite c2sp_suite(Origin origin) {
  return suite(origin, "c2sp", "public/c2sp_chunked_encryption_aes_256_gcm_test.json");
}

void check_written_again(const json& vector, Format format) {
  if (vector.at("result") != "valid") return;
  const auto sealed = inflate_hex(vector.at("ct"));
  EXPECT_TRUE(written_again(sealed, vector, format) == sealed);
}

class C2spSuites : public testing::TestWithParam<Origin> {};

INSTANTIATE_TEST_SUITE_P(From, C2spSuites, kBothOrigins, name_of);

TEST_P(C2spSuites, GetTheirVerdicts) {
  for_each(c2sp_suite(GetParam()), [](const json& vector) { check_verdict(vector, Format::c2sp); });
}

TEST_P(C2spSuites, AreWrittenAsTheyAreRead) {
  for_each(c2sp_suite(GetParam()), [](const json& vector) { check_written_again(vector, Format::c2sp); });
}

TEST(IndependentStreams, GetTheirVerdicts) {
  for_each(made_suite("agcm"), [](const json& vector) { check_verdict(vector, Format::agcm); });
}

TEST(IndependentStreams, AreWrittenAsTheyAreRead) {
  for_each(made_suite("agcm"), [](const json& vector) { check_written_again(vector, Format::agcm); });
}

}  // namespace
}  // namespace sluice::crypto::test

// What we seal, Python opens, and refuses once it is damaged: the formats stand in the documents, not in our
// code.
#include <gtest/gtest.h>

#include <iostream>

#include "digest.hpp"
#include "hex.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "sluice/crypto/seal/transfer.hpp"
#include "suites.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

using nlohmann::json;

class IndependentReader : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = no_python(); !reason.empty()) GTEST_SKIP() << reason;
  }

  // Seals so many bytes as a user does: with a salt of the library's own.
  void seal_one(Format format, std::uint32_t chunk_bytes, std::size_t size, const std::string& context) {
    const auto plain = pattern(size, static_cast<std::uint32_t>(size) + 1);
    MemorySource source(plain);
    VectorSink sink;
    const SealOptions options{.format = format, .chunk_bytes = chunk_bytes, .context = context};
    seal(source, sink, test_key(), options, {.workers = 1 + static_cast<unsigned>(size % 2)});
    const auto name = std::to_string(manifest_["streams"].size()) + ".sealed";
    write_file(scratch_ / name, sink.bytes());
    manifest_["streams"].push_back({{"file", name},
                                    {"format", format == Format::agcm ? "agcm" : "c2sp"},
                                    {"key", key_hex_},
                                    {"context", hex(to_bytes(context))},
                                    {"chunk_size", chunk_bytes},
                                    {"sha512", sha512_hex(plain)}});
  }

  void seal_around(Format format, std::uint32_t chunk_bytes, const std::string& context) {
    const std::size_t chunk = chunk_bytes;
    for (const auto size : {std::size_t{0}, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 5}) {
      seal_one(format, chunk_bytes, size, context);
    }
  }

  // A journal in a directory of this name; `write` fills it.
  template <typename Write>
  void keep_journal(const std::string& name, const std::string& context, Write write) {
    json records = json::array();
    SealedJournal journal(scratch_ / name, test_key(), {.context = context, .sync = SyncPolicy::none});
    write(journal, [&](const Bytes& record) {
      journal.append(record);
      records.push_back(hex(record));
    });
    journal.close();
    manifest_["journals"].push_back(
        {{"directory", name}, {"key", key_hex_}, {"context", hex(to_bytes(context))}, {"records", records}});
  }

  void expect_opened(const std::string& summary) {
    std::ofstream(scratch_ / "manifest.json") << manifest_.dump();
    const auto result = run_script("check_sealed.py", scratch_.path().string());
    EXPECT_TRUE(result.status.ok());
    EXPECT_EQ(result.output, summary + "\n");
  }

  ScratchDirectory scratch_;
  json manifest_{{"streams", json::array()}, {"journals", json::array()}};
  const std::string key_hex_ = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
};

TEST_F(IndependentReader, OpensWhatWeSealAndRefusesWhatIsDamaged) {
  for (const auto* const context : {"", "billing/2024-05"}) {
    for (const auto chunk_size : {4096U, 65536U, 1U << 20U}) seal_around(Format::agcm, chunk_size, context);
    seal_around(Format::c2sp, 16384, context);
  }
  seal_one(Format::agcm, 8U << 20U, 100, "");
  seal_one(Format::agcm, 4096, 4096 * 257 + 1, std::string(1000, 'x'));
  expect_opened("50 streams, 0 journals");
}

TEST_F(IndependentReader, ReadsTheJournalsWeWriteAndRefusesWhatIsDamaged) {
  keep_journal("sizes", "", [](auto& /*journal*/, auto append) {
    for (const auto size : {0U, 1U, 4095U, 4096U, 4097U, 65531U, 65532U, 65533U, 300'000U}) {
      append(pattern(size));
    }
  });
  keep_journal("segments", "orders", [](auto& journal, auto append) {
    for (int segment = 0; segment < 4; ++segment) {
      for (std::size_t size = 0; size < 20; ++size) append(pattern(size * 37));
      journal.flush();
      append(to_bytes("a frame of its own"));
      journal.roll();
    }
  });
  expect_opened("0 streams, 2 journals");
}

}  // namespace
}  // namespace sluice::crypto::test

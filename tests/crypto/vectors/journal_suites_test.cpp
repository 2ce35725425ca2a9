// Journals that Python wrote: whole ones, ones with a torn end, damaged ones.
#include <gtest/gtest.h>

#include "sluice/crypto/journal/journal_reader.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "suites.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

using nlohmann::json;

class IndependentJournals : public testing::Test {
 protected:
  void SetUp() override {
    auto [content, missing] = made_suite("journal");
    if (content.is_null()) GTEST_SKIP() << missing;
    file_ = std::move(content);
  }

  // Runs `check` in a fresh directory that holds the segments, for each journal with this verdict.
  template <typename Check>
  void for_each(const std::string& result, Check check) const {
    int count = 0;
    for (const auto& entry : file_.at("cases")) {
      if (entry.at("result") != result) continue;
      SCOPED_TRACE(entry.at("comment").get<std::string>());
      const ScratchDirectory scratch;
      for (const auto& segment : entry.at("segments")) {
        write_file(scratch / segment.at("name").get<std::string>(), hex_field(segment, "bytes"));
      }
      if (const auto lock = hex_field(entry, "lock"); !lock.empty()) write_file(scratch / "lock", lock);
      check(entry, scratch.path(), SecretKey::from_bytes(hex_field(entry, "key")), text_field(entry, "ctx"));
      ++count;
    }
    EXPECT_GT(count, 10);
  }

  json file_;
};

void expect_records(JournalReader& reader, const json& records) {
  for (const auto& record : records) {
    const auto next = reader.next();
    ASSERT_TRUE(next);
    EXPECT_EQ(Bytes(next->bytes.begin(), next->bytes.end()), from_hex(record.get<std::string>()));
  }
}

TEST_F(IndependentJournals, AreReadToTheirLastRecord) {
  for_each("valid", [](const json& entry, const auto& place, const auto& key, const auto& context) {
    JournalReader reader(place, key, context);
    expect_records(reader, entry.at("records"));
    EXPECT_FALSE(reader.next());
    EXPECT_EQ(verify_journal(place, key, context), entry.at("records").size());
  });
}

TEST_F(IndependentJournals, AreContinued) {
  for_each("valid", [](const json& entry, const auto& place, const auto& key, const auto& context) {
    SealedJournal journal(place, key, {.context = context});
    EXPECT_EQ(journal.append(to_bytes("ours")), entry.at("records").size() + 1);
    journal.close();
    JournalReader reader(place, key, context);
    expect_records(reader, entry.at("records"));
    expect_records(reader, json::array({"6f757273"}));
    EXPECT_FALSE(reader.next());
  });
}

TEST_F(IndependentJournals, AreRefusedWhenDamaged) {
  for_each("invalid", [](const json& /*entry*/, const auto& place, const auto& key, const auto& context) {
    EXPECT_THROW(verify_journal(place, key, context), error);
  });
}

}  // namespace
}  // namespace sluice::crypto::test

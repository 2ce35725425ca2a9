// What files say of themselves without a key: every kind is recognised, and what can't be is refused clearly.
#include "sluice/crypto/inspect/inspect.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "sluice/crypto/journal/journal_format.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

class Inspect : public testing::Test {
 protected:
  FileInfo of(std::span<const std::byte> bytes, Format format = Format::agcm) const {
    write_file(file_, bytes);
    return inspect_file(file_, format);
  }
  std::error_code refusal_of(std::span<const std::byte> bytes, Format format = Format::agcm) const {
    write_file(file_, bytes);
    return code_of([&] { inspect_file(file_, format); });
  }

  ScratchDirectory scratch_;
  std::filesystem::path file_ = scratch_ / "file";
};

// Two chunks, "from be" and "fore", of the published writer's format.
Bytes version_1() {
  return from_hex(
      "4147434d01000000000102030405060708090a0b08000000180000002170b976e587a77d7b"
      "d255812e8050d03c14a97bfed47bb4130000002870b3aaf3938005a83557e6c374f247e28002");
}

TEST_F(Inspect, TellsTheLengthOfAStreamFromItsSize) {
  for (const auto format : {Format::agcm, Format::c2sp}) {
    for (const std::size_t size : {0U, 1U, 16'384U, 65'536U, 200'000U}) {
      const auto info = of(seal_bytes(pattern(size), test_key(), {.format = format}), format);
      const std::uint32_t chunk = format == Format::agcm ? 65'536 : 16'384;
      EXPECT_EQ(info.kind, format == Format::agcm ? FileKind::agcm : FileKind::c2sp);
      EXPECT_EQ(info.chunk_bytes, chunk);
      EXPECT_EQ(info.plaintext_bytes, size);
      EXPECT_EQ(info.chunks, size / chunk + 1);
      EXPECT_EQ(info.key_id.has_value(), format == Format::agcm);
    }
  }
}

TEST_F(Inspect, SaysWhenNoWholeStreamHasThisSize) {
  const auto bytes = seal_bytes(pattern(65'536), test_key());
  EXPECT_EQ(of(std::span(bytes).first(bytes.size() - 1)).plaintext_bytes, std::nullopt);
  EXPECT_EQ(of(std::span(bytes).first(AgcmHeader::kSize)).plaintext_bytes, std::nullopt);
}

TEST_F(Inspect, WalksTheChunksOfVersion1) {
  auto bytes = version_1();
  auto info = of(bytes);
  EXPECT_EQ(info.version, 1U);
  EXPECT_EQ(info.chunk_bytes, 8U);
  EXPECT_EQ(info.chunks, 2U);
  EXPECT_EQ(info.plaintext_bytes, 11U);
  EXPECT_EQ(info.key_id, std::nullopt);
  for (const auto damage : {std::byte{0x0f}, std::byte{0x19}, std::byte{0xff}}) {  // of the first length
    bytes[24] = damage;
    EXPECT_EQ(of(bytes).plaintext_bytes, std::nullopt);
  }
  bytes = version_1();
  bytes.pop_back();
  EXPECT_EQ(of(bytes).plaintext_bytes, std::nullopt);
}

TEST_F(Inspect, ShowsAJournalSegmentAndCountsItsFrames) {
  const auto place = scratch_ / "journal";
  const auto key = test_key();
  {
    SealedJournal journal(place, key, {.context = "j", .sync = SyncPolicy::none});
    for (int i = 0; i < 3; ++i) journal.append(pattern(100));
    journal.flush();
    journal.append({});
    journal.flush();
  }
  const auto segment = read_file(place / "00000000000000000001.agcj");
  auto info = of(segment);
  EXPECT_EQ(info.kind, FileKind::journal_segment);
  EXPECT_EQ(info.version, 1U);
  EXPECT_EQ(info.key_id, key.id());
  EXPECT_EQ(info.plaintext_bytes, std::nullopt);
  ASSERT_TRUE(info.segment);
  EXPECT_EQ(info.segment->first_sequence, 1U);
  EXPECT_GT(info.segment->created_ns, 0U);
  EXPECT_EQ(info.segment->frames, 2U);
  EXPECT_EQ(info.segment->records, 4U);
  EXPECT_EQ(info.segment->unexplained_bytes, 0U);

  info = of(std::span(segment).first(segment.size() - FrameHeader::kSize - 1));  // torn
  EXPECT_EQ(info.segment->frames, 1U);
  EXPECT_EQ(info.segment->records, 3U);
  EXPECT_EQ(info.segment->unexplained_bytes, FrameHeader::kSize + 4 + kTagSize - 1);
  info = of(std::span(segment).first(SegmentHeader::kSize));
  EXPECT_EQ(info.segment->frames, 0U);
}

TEST_F(Inspect, SaysThatAC2spStreamHasNoMarkOfItsOwn) {
  write_file(file_, seal_bytes(pattern(10), test_key(), {.format = Format::c2sp}));
  try {
    inspect_file(file_);
    FAIL();
  } catch (const error& failure) {
    EXPECT_EQ(failure.code(), errc::bad_magic);
    const std::string text = failure.what();
    EXPECT_NE(text.find(file_.string()), std::string::npos);
    EXPECT_NE(text.find("C2SP stream has no mark"), std::string::npos) << text;
  }
}

TEST_F(Inspect, RefusesHeadersCutAtEveryLength) {
  const auto stream = seal_bytes({}, test_key());
  for (std::size_t size = 0; size < AgcmHeader::kSize; ++size) {
    EXPECT_EQ(refusal_of(std::span(stream).first(size)), errc::short_header) << size;
  }
  const auto legacy = version_1();
  for (std::size_t size = 8; size < 24; ++size) {
    EXPECT_EQ(refusal_of(std::span(legacy).first(size)), errc::short_header) << size;
  }
  for (std::size_t size = 4; size < SegmentHeader::kSize; ++size) {
    Bytes bytes(size);
    std::ranges::copy(std::as_bytes(std::span(SegmentHeader::kMagic)), bytes.begin());
    EXPECT_EQ(refusal_of(bytes), errc::short_header) << size;
  }
  EXPECT_EQ(refusal_of(Bytes(55), Format::c2sp), errc::short_header);
}

TEST_F(Inspect, RefusesWhatIsNoRegularFile) {
  EXPECT_EQ(code_of([&] { inspect_file(scratch_.path()); }), sluice::errc::unsafe_place);
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  EXPECT_EQ(code_of([&] { inspect_file(file_); }), sluice::errc::unsafe_place);
  EXPECT_EQ(code_of([&] { inspect_file(scratch_ / "missing"); }), std::errc::no_such_file_or_directory);
}

}  // namespace
}  // namespace sluice::crypto::test

// The sluice command's sealing subcommands, run as a user runs them.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "places.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "sluice/crypto/key/key_file.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

struct Outcome {
  int status = -1;
  std::string text;  // standard output and standard error
};

/// "from before" in chunks of 8 bytes of version 1, sealed with test_key().
Bytes version_1() {
  return from_hex(
      "4147434d01000000000102030405060708090a0b08000000180000002170b976e587a77d7b"
      "d255812e8050d03c14a97bfed47bb4130000002870b3aaf3938005a83557e6c374f247e28002");
}

class Command : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run("keygen key").status, 0);
    write_file(scratch_ / "plain", plain_);
  }

  // In the scratch directory; `arguments` is shell text.
  Outcome run(const std::string& arguments) const { return shell("\"$sluice\" " + arguments); }
  Outcome shell(const std::string& script) const {
    const std::string command = "cd '" + scratch_.path().string() + "' && sluice='" +
                                sluice::test::bin_dir() + "/sluice' && { " + script + "; } 2>&1";
    FILE* pipe = ::popen(command.c_str(), "r");  // NOLINT(cert-env33-c): the test's own command line
    if (pipe == nullptr) throw std::system_error(errno, std::system_category(), "popen");
    Outcome outcome;
    std::array<char, 4096> part{};
    while (const auto count = std::fread(part.data(), 1, part.size(), pipe))
      outcome.text.append(part.data(), count);
    const int status = ::pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
  }

  ScratchDirectory scratch_;
  Bytes plain_ = pattern(200'000);
};

TEST_F(Command, WorksTheSameWhereStandardErrorIsClosedFullOrGone) {
  save_key_file(scratch_ / "old", test_key());
  write_file(scratch_ / "legacy", version_1());
  const auto works_with = [&](const std::string& standard_error) {
    SCOPED_TRACE(standard_error);
    EXPECT_EQ(run(standard_error).status, 2);
    EXPECT_EQ(run("inspect missing" + standard_error).status, 1);
    EXPECT_EQ(run("open --key-file old missing -" + standard_error).status, 1);
    // Something is said, and it works.
    EXPECT_EQ(run("open --force --legacy-v1 --key-file old legacy opened" + standard_error).status, 0);
    EXPECT_EQ(read_file(scratch_ / "opened"), to_bytes("from before"));
  };
  works_with(" 2>&-");
  works_with(" 2>/dev/full");
  const auto gone = shell("{ { sleep 0.2; \"$sluice\"; echo $? >&3; } 2>&1 | true; } 3>&1");
  EXPECT_EQ(gone.text, "2\n");
}

TEST_F(Command, AClosedStandardStreamIsNeitherUsedNorTheNextFilesNumber) {
  EXPECT_EQ(run("seal --key-file key - sealed <&-").status, 1);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "sealed"));
  EXPECT_EQ(run("seal --key-file key plain - >&-").status, 1);
  EXPECT_EQ(run("inspect key >&-").status, 1);
  // The number is taken before the command opens anything.
  for (const auto* stream : {"0 sealed 0>&-", "1 sealed 1>&-", "2 sealed 2>&-"}) {
    const auto outcome = run(std::string("seal --force --key-file key /proc/self/fd/") + stream);
    EXPECT_EQ(outcome.status, 0) << stream << ": " << outcome.text;
  }
}

TEST_F(Command, FailsWhereStandardOutputDoesntTakeEverything) {
  ASSERT_EQ(run("seal --key-file key plain sealed").status, 0);
  for (const std::string words : {"inspect sealed", "keygen full", "--help", "seal --help"}) {
    const auto outcome = run(words + " >/dev/full");
    EXPECT_EQ(outcome.status, 1) << words;
    EXPECT_NE(outcome.text.find("No space left on device"), std::string::npos) << words << outcome.text;
  }
  EXPECT_EQ(run("keygen closed >&-").status, 1);
}

TEST_F(Command, KeygenMakesAPrivateKeyFileAndNeverReplacesOne) {
  struct stat status {};
  ASSERT_EQ(::stat((scratch_ / "key").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 32);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  const auto before = read_file(scratch_ / "key");
  EXPECT_EQ(run("keygen key").status, 1);
  EXPECT_EQ(read_file(scratch_ / "key"), before);
}

TEST_F(Command, SealsAndOpensFiles) {
  for (const auto* options :
       {"", "--workers 2", "--chunk 4096", "--context logs", "--context-hex 00ff", "--format c2sp"}) {
    const std::string text = options;
    const std::string opening = text.starts_with("--chunk") ? "" : text;
    ASSERT_EQ(run("seal --force --key-file key " + text + " plain sealed").status, 0) << text;
    ASSERT_EQ(run("open --force --key-file key " + opening + " sealed opened").status, 0) << text;
    EXPECT_EQ(read_file(scratch_ / "opened"), plain_) << text;
    EXPECT_NE(read_file(scratch_ / "sealed"), plain_);
  }
}

TEST_F(Command, SealsAndOpensPipes) {
  const auto outcome = shell(
      "cat plain | \"$sluice\" seal --key-file key - - | "
      "\"$sluice\" open --key-file key - - > opened");
  EXPECT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_EQ(read_file(scratch_ / "opened"), plain_);
}

TEST_F(Command, OpenPicksAmongSeveralKeysByTheKeyId) {
  ASSERT_EQ(run("keygen other").status, 0);
  ASSERT_EQ(run("seal --key-file key plain sealed").status, 0);
  EXPECT_EQ(run("open --key-file other --key-file key sealed opened").status, 0);
  EXPECT_EQ(run("open --key-file other sealed opened").status, 1);
}

TEST_F(Command, OpenLeavesNothingBehindWhenTheStreamIsDamaged) {
  ASSERT_EQ(run("seal --key-file key plain sealed").status, 0);
  auto sealed = read_file(scratch_ / "sealed");
  sealed.back() ^= std::byte{1};
  write_file(scratch_ / "sealed", sealed);
  write_file(scratch_ / "opened", to_bytes("the old file"));
  const auto outcome = run("open --force --key-file key sealed opened");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.text.find("authentication failed"), std::string::npos) << outcome.text;
  EXPECT_EQ(read_file(scratch_ / "opened"), to_bytes("the old file"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / ".opened.sluice-new"));
}

TEST_F(Command, OpenToStandardOutputSaysThatAnErrorLeavesItIncomplete) {
  ASSERT_EQ(run("seal --key-file key plain sealed").status, 0);
  std::filesystem::resize_file(scratch_ / "sealed", 150'000);
  const auto outcome = shell("\"$sluice\" open --key-file key sealed - > part");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.text.find("not the whole stream"), std::string::npos) << outcome.text;
  const auto part = read_file(scratch_ / "part");
  EXPECT_EQ(part, Bytes(plain_.begin(), plain_.begin() + static_cast<std::ptrdiff_t>(part.size())));
  EXPECT_NE(run("open --help").text.find("authentic but the stream incomplete"), std::string::npos);
}

TEST_F(Command, InspectShowsTheHeaderWithoutAKey) {
  ASSERT_EQ(run("seal --key-file key plain sealed").status, 0);
  const auto outcome = run("inspect sealed");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.text.find("AGCM version 2"), std::string::npos);
  EXPECT_NE(outcome.text.find("65536 bytes"), std::string::npos);
  EXPECT_NE(outcome.text.find(load_key_file(scratch_ / "key").id().to_hex()), std::string::npos);
  EXPECT_NE(outcome.text.find("200000 bytes in 4 chunks"), std::string::npos) << outcome.text;
  const auto refused = run("inspect plain");
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.text.find("C2SP"), std::string::npos) << refused.text;
}

TEST_F(Command, InspectShowsC2spStreamsAndJournalSegments) {
  ASSERT_EQ(run("seal --key-file key --format c2sp plain sealed").status, 0);
  auto outcome = run("inspect --format c2sp sealed");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.text.find("200000 bytes in 13 chunks"), std::string::npos) << outcome.text;
  {
    SealedJournal journal(scratch_ / "journal", load_key_file(scratch_ / "key"));
    journal.append(plain_);
  }
  outcome = run("inspect journal/00000000000000000001.agcj");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.text.find("journal segment version 1"), std::string::npos) << outcome.text;
  EXPECT_NE(outcome.text.find("1 from number 1, in 1 frames"), std::string::npos) << outcome.text;
}

TEST_F(Command, RekeyReplacesTheKeyAndKeepsChunkSizeAndContext) {
  ASSERT_EQ(run("keygen new").status, 0);
  ASSERT_EQ(run("seal --key-file key --chunk 8192 --context c plain sealed").status, 0);
  ASSERT_EQ(run("rekey --from key --to new --context c sealed").status, 0);
  EXPECT_EQ(run("open --key-file key --context c sealed opened").status, 1);
  EXPECT_EQ(run("open --key-file new --context c sealed opened").status, 0);
  EXPECT_EQ(read_file(scratch_ / "opened"), plain_);
  EXPECT_NE(run("inspect sealed").text.find("8192 bytes"), std::string::npos);
}

TEST_F(Command, RekeyWithTheWrongKeyLeavesTheFileAsItWas) {
  ASSERT_EQ(run("keygen new").status, 0);
  ASSERT_EQ(run("seal --key-file key plain sealed").status, 0);
  const auto before = read_file(scratch_ / "sealed");
  EXPECT_EQ(run("rekey --from new --to key sealed").status, 1);
  EXPECT_EQ(read_file(scratch_ / "sealed"), before);
}

TEST_F(Command, RefusesOptionsOutOfTheirRange) {
  for (const std::string option : {"--chunk 0", "--chunk 4095", "--format 0", "--format 1"}) {
    EXPECT_EQ(run("seal --key-file key " + option + " plain sealed").status, 2) << option;
  }
  EXPECT_NE(run("seal --help").text.find("--format agcm|c2sp  "), std::string::npos);
}

TEST_F(Command, WarnsOfVersion1AndOfNothingElse) {
  save_key_file(scratch_ / "old", test_key());
  write_file(scratch_ / "legacy", version_1());
  ASSERT_EQ(run("seal --key-file key plain sealed").status, 0);
  const std::string warning = "warning: version 1 can't tell forged";
  EXPECT_NE(run("open --force --legacy-v1 --key-file old legacy opened").text.find(warning),
            std::string::npos);
  EXPECT_EQ(run("open --force --legacy-v1 --key-file key sealed opened").text.find("warning"),
            std::string::npos);
  const auto piped = run("open --force --legacy-v1 --key-file key - opened < sealed");
  EXPECT_NE(piped.text.find("warning: if this is version 1, it"), std::string::npos) << piped.text;

  EXPECT_EQ(run("rekey --legacy-v1 --from key --to old sealed").text.find("warning"), std::string::npos);
  const auto outcome = run("rekey --legacy-v1 --from old --to key legacy");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.text.find(warning), std::string::npos) << outcome.text;
}

TEST_F(Command, NamesTheFileThatAnErrorIsAbout) {
  ASSERT_EQ(run("keygen other").status, 0);
  ASSERT_EQ(run("seal --key-file key plain sealed").status, 0);
  const auto says = [&](const std::string& words, const std::string& expected) {
    const auto outcome = run(words);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.text.find("sluice: " + expected), std::string::npos) << outcome.text;
  };
  // Reading this file fails at the first address, which isn't mapped.
  says("seal --key-file key /proc/self/mem out", "read /proc/self/mem: Input/output error");
  says("seal --key-file key - out < /proc/self/mem", "read standard input: Input/output error");
  says("rekey --from key --to other /proc/self/mem", "read /proc/self/mem: Input/output error");
  says("seal --key-file key plain - > /dev/full", "write standard output: No space left on device");
  says("open --key-file key plain out", "plain: ");
  says("open --key-file other sealed out", "sealed: ");
}

TEST_F(Command, RefusesToWriteAFileIntoItself) {
  for (const std::string input : {"plain - >> plain", "- - < plain >> plain", "plain - 1<> plain"}) {
    // A limit, for the case that it doesn't.
    const auto outcome = shell("ulimit -f 2000; \"$sluice\" seal --key-file key " + input);
    EXPECT_EQ(outcome.status, 1) << input;
    EXPECT_NE(outcome.text.find("is also standard output"), std::string::npos) << outcome.text;
    EXPECT_EQ(read_file(scratch_ / "plain"), plain_);
  }
}

TEST_F(Command, TakesPassphraseKeys) {
  ASSERT_EQ(shell("printf 'correct horse\\n' > words; printf 'wrong\\n' > wrong").status, 0);
  ASSERT_EQ(run("keygen --passphrase --passphrase-file words --memory 8 --passes 1 secret").status, 0);
  ASSERT_EQ(run("seal --key-file secret --passphrase-file words plain sealed").status, 0);
  EXPECT_EQ(run("open --key-file secret --passphrase-file words sealed opened").status, 0);
  EXPECT_EQ(read_file(scratch_ / "opened"), plain_);
  const auto outcome = run("open --key-file secret --passphrase-file wrong sealed opened2");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.text.find("wrong passphrase"), std::string::npos) << outcome.text;
}

TEST_F(Command, SnapshotSampleTakesVerifiesAndRestoresATree) {
  const std::string snapshot =
      "export SLUICE=\"$sluice\"; '" + sluice::test::source_dir() + "/samples/snapshot/snapshot' ";
  ASSERT_EQ(shell("mkdir -p tree/sub && cp plain tree/sub/file && ln -s sub/file tree/link").status, 0);
  auto outcome = shell(snapshot + "take key tree tree.sealed");
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  outcome = shell(snapshot + "verify key tree.sealed");
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_NE(outcome.text.find("complete and authentic"), std::string::npos) << outcome.text;
  outcome = shell(snapshot + "restore key tree.sealed restored");
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_EQ(shell("diff -r tree restored").status, 0);

  ASSERT_NE(shell(snapshot + "take key missing other.sealed").status, 0);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "other.sealed"));
  std::filesystem::resize_file(scratch_ / "tree.sealed", 150'000);
  EXPECT_EQ(shell(snapshot + "verify key tree.sealed").status, 1);
  EXPECT_EQ(shell(snapshot + "restore key tree.sealed again").status, 1);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "again"));
}

TEST_F(Command, SnapshotSampleRestoresNothingWhenTheSecondReadingEndsBetweenTwoFiles) {
  // Its first call opens all of the snapshot, its second as much as tar takes for 50 whole files.
  ASSERT_EQ(shell("mkdir tree && for i in $(seq 300); do head -c 1500 plain > tree/$i; done; "
                  "printf '#!/bin/sh\\n"
                  "if mkdir once 2>/dev/null; then exec %s \"$@\"; fi\\n"
                  "%s \"$@\" | head -c $((512 + 50 * 2048)); exit 1\\n' \"$sluice\" \"$sluice\" > short; "
                  "chmod +x short")
                .status,
            0);
  const std::string snapshot = sluice::test::source_dir() + "/samples/snapshot/snapshot ";
  ASSERT_EQ(shell("export SLUICE=\"$sluice\"; " + snapshot + "take key tree tree.sealed").status, 0);
  auto outcome = shell("export SLUICE=./short; " + snapshot + "restore key tree.sealed restored");
  EXPECT_EQ(outcome.status, 1) << outcome.text;
  EXPECT_NE(outcome.text.find("nothing restored"), std::string::npos) << outcome.text;
  EXPECT_NE(shell("ls -d restored*").text.find("No such file"), std::string::npos);

  ASSERT_EQ(shell("mkdir restored && touch restored/other").status, 0);
  outcome = shell("export SLUICE=\"$sluice\"; " + snapshot + "restore key tree.sealed restored");
  EXPECT_EQ(outcome.status, 1) << outcome.text;
  EXPECT_EQ(shell("ls restored").text, "other\n");
}

TEST_F(Command, RefusesAKeyFileThatOthersCanRead) {
  ASSERT_EQ(::chmod((scratch_ / "key").c_str(), 0644), 0);
  const auto outcome = run("seal --key-file key plain sealed");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.text.find("0644"), std::string::npos) << outcome.text;
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "sealed"));
}

TEST_F(Command, SealAndOpenReplaceAFileWithForceOnly) {
  const auto keeps_the_old_file = [&](const std::string& words, const std::string& output) {
    write_file(scratch_ / output, to_bytes("the old file"));
    const auto outcome = run(words + " " + output);
    EXPECT_EQ(outcome.status, 1) << words;
    EXPECT_EQ(outcome.text, "sluice: " + output + " exists; --force replaces it\n");
    EXPECT_EQ(read_file(scratch_ / output), to_bytes("the old file"));
  };
  keeps_the_old_file("seal --key-file key plain", "sealed");
  EXPECT_EQ(run("seal --force --key-file key plain sealed").status, 0);
  keeps_the_old_file("open --key-file key sealed", "opened");
  EXPECT_EQ(run("open -f -k key sealed opened").status, 0);
  EXPECT_EQ(read_file(scratch_ / "opened"), plain_);
}

TEST_F(Command, AFileThatAppearsWhileItIsSealedIsNotReplacedEither) {
  const auto outcome = shell(
      "mkfifo in; { sleep 0.3; echo other > sealed; cat plain; } > in & "
      "\"$sluice\" seal --key-file key in sealed");
  EXPECT_EQ(outcome.status, 1) << outcome.text;
  EXPECT_EQ(outcome.text, "sluice: sealed exists; --force replaces it\n");
  EXPECT_EQ(read_file(scratch_ / "sealed"), to_bytes("other\n"));
}

TEST_F(Command, AFileThatMayGrowNoFurtherIsAnErrorAndLeavesTheOldOne) {
  ASSERT_EQ(run("seal --key-file key plain sealed").status, 0);
  for (const std::string command :
       {"seal --force --key-file key plain old", "open --force --key-file key sealed old"}) {
    SCOPED_TRACE(command);
    write_file(scratch_ / "old", to_bytes("old"));
    const auto limited = shell("ulimit -f 100; \"$sluice\" " + command);
    EXPECT_EQ(limited.status, 1);
    EXPECT_EQ(limited.text, "sluice: write old: File too large\n");
    EXPECT_EQ(read_file(scratch_ / "old"), to_bytes("old"));
  }
}

TEST_F(Command, SealAndKeygenTakeSizesWithASuffix) {
  ASSERT_EQ(run("seal -k key -b 8K -j 2 -c logs plain sealed").status, 0);
  EXPECT_NE(run("inspect sealed").text.find("8192 bytes"), std::string::npos);
  ASSERT_EQ(shell("echo words > words").status, 0);
  EXPECT_EQ(run("keygen --passphrase-file words --memory 9M --passes 1 first").status, 0);
  EXPECT_EQ(run("keygen --passphrase-file words --memory 9 --passes 1 second").status, 0);
  const auto costs = shell("head -c 16 first | od -An -tx1; head -c 16 second | od -An -tx1").text;
  EXPECT_EQ(costs.substr(0, costs.size() / 2), costs.substr(costs.size() / 2)) << costs;
  EXPECT_EQ(run("keygen --passphrase-file words --memory 9x third").status, 2);
}

TEST_F(Command, RefusesToReplaceWhatIsNoRegularFile) {
  EXPECT_EQ(run("seal --force --key-file key plain /dev/null").status, 1);
  std::filesystem::create_symlink("plain", scratch_ / "link");
  EXPECT_EQ(run("seal --force --key-file key plain link").status, 1);
  EXPECT_EQ(read_file(scratch_ / "plain"), plain_);
}

}  // namespace
}  // namespace sluice::crypto::test

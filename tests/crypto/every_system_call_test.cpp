// Each system call of sealing, opening, rekeying, saving a key and journaling fails once, in every way that
// it can: the old file stays or the new one is there as a whole, no durable record is lost, and the next try
// works.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>

#include "failing_system_call.hpp"
#include "open_descriptors.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

using sluice::test::begin_failing;
using sluice::test::end_failing;
using sluice::test::FailedRun;
using sluice::test::open_descriptors;
using sluice::test::run_with_failing_call;

/// What is checked in the traced process: its exit code tells which.
enum Fault : int { no_words = 11, descriptor_left = 12, damaged = 13, next_try_failed = 14, file_left = 15 };

struct Scene {
  const char* name;
  std::function<void(const std::filesystem::path&)> prepare;
  std::function<void(const std::filesystem::path&)> act;
  /// Whether what is there now is the old state or the new one.
  std::function<bool(const std::filesystem::path&)> is_whole;
  std::size_t files;  ///< in the folder, once it worked
};

Bytes old_text() {
  return pattern(5'000, 1);
}
Bytes new_text() {
  return pattern(150'000, 2);
}

bool opens_as(const std::filesystem::path& file, unsigned key, const Bytes& plain) {
  try {
    return open_bytes(read_file(file), test_key(key)) == plain;
  } catch (const error&) {
    return false;
  }
}

void prepare_sealing(const std::filesystem::path& folder) {
  write_file(folder / "in", new_text());
  write_file(folder / "out", seal_bytes(old_text(), test_key()));
}

void prepare_opening(const std::filesystem::path& folder) {
  write_file(folder / "in", seal_bytes(new_text(), test_key()));
  write_file(folder / "out", old_text());
}

bool holds_either_text(const std::filesystem::path& folder) {
  const Bytes out = read_file(folder / "out");
  return out == old_text() || out == new_text();
}

void prepare_rekeying(const std::filesystem::path& folder) {
  write_file(folder / "sealed", seal_bytes(new_text(), test_key(1)));
}

void rekey_with_either_key(const std::filesystem::path& file) {
  KeyRing keys;
  keys.add(test_key(1));
  keys.add(test_key(2));
  rekey_file(file, keys, test_key(2));
}

constexpr std::uint64_t kRecords = 4;

Bytes record(std::uint64_t sequence) {
  return pattern(30'000, static_cast<unsigned>(sequence));
}

JournalOptions journal_options() {
  return {.sync = SyncPolicy::each, .segment_bytes = JournalOptions{}.segment_bytes / 1024};
}

void append_records(const std::filesystem::path& folder, std::uint64_t count) {
  SealedJournal journal(folder / "journal", test_key(), journal_options());
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t sequence = journal.append(record(journal.next_sequence()));
    // It is durable: from now on it must be there. The file tells this to is_whole(), whatever happens next.
    std::ofstream(folder / "durable", std::ios::binary | std::ios::trunc) << sequence;
  }
  journal.close();
}

bool has_every_durable_record(const std::filesystem::path& folder) {
  std::uint64_t durable = 0;
  std::ifstream(folder / "durable") >> durable;
  const SecretKey key = test_key();
  JournalReader reader(folder / "journal", key);
  std::uint64_t last = 0;
  while (const auto next = reader.next()) {
    const Bytes wanted = record(next->sequence);
    if (next->sequence != ++last ||
        !std::equal(next->bytes.begin(), next->bytes.end(), wanted.begin(), wanted.end()))
      return false;
  }
  return last >= durable;
}

const Scene kScenes[] = {
    {"Sealing", prepare_sealing,
     [](const auto& folder) { (void)seal_file(folder / "in", folder / "out", test_key()); },
     [](const auto& folder) {
       return opens_as(folder / "out", 0, old_text()) || opens_as(folder / "out", 0, new_text());
     },
     2},
    {"Opening", prepare_opening,
     [](const auto& folder) { (void)open_file(folder / "in", folder / "out", test_key()); },
     holds_either_text, 2},
    {"Rekeying", prepare_rekeying, [](const auto& folder) { rekey_with_either_key(folder / "sealed"); },
     [](const auto& folder) {
       return opens_as(folder / "sealed", 1, new_text()) || opens_as(folder / "sealed", 2, new_text());
     },
     1},
    {"SavingAKey", [](const auto&) {},
     [](const auto& folder) {
       std::filesystem::remove(folder / "key");
       save_key_file(folder / "key", test_key());
     },
     [](const auto& folder) {
       return !std::filesystem::exists(folder / "key") ||
              load_key_file(folder / "key").id() == test_key().id();
     },
     1},
    {"Journaling", [](const auto& folder) { append_records(folder, 1); },
     [](const auto& folder) { append_records(folder, kRecords); }, has_every_durable_record, 2},
};

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

/// In the traced process: once while a call fails, then once more.
int act_twice(const Scene& scene, const std::filesystem::path& folder) {
  const std::size_t descriptors = open_descriptors();
  begin_failing();
  try {
    scene.act(folder);
  } catch (const std::exception& failure) {
    if (std::string_view(failure.what()).empty()) return no_words;
  }
  end_failing();
  if (open_descriptors() != descriptors) return descriptor_left;
  try {
    if (!scene.is_whole(folder)) return damaged;
    scene.act(folder);
    if (!scene.is_whole(folder)) return damaged;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "the next try: %s\n", failure.what());
    return next_try_failed;
  }
  return files_in(folder) == scene.files ? 0 : file_left;
}

class EverySystemCallAtRest : public ::testing::TestWithParam<std::tuple<Scene, int>> {};

TEST_P(EverySystemCallAtRest, MayFailOnceAndLosesNothingThatWasThere) {
  const Scene& scene = std::get<0>(GetParam());  // clang 14 lets no lambda have a structured binding
  const int code = std::get<1>(GetParam());
  for (std::uint64_t nth = 0;; ++nth) {
    const ScratchDirectory folder;
    scene.prepare(folder.path());
    const FailedRun run = run_with_failing_call([&] { return act_twice(scene, folder.path()); }, nth, code);
    EXPECT_TRUE(run.exited_with(0)) << "call " << nth << ", " << std::strerror(code) << ": " << run.text();
    if (!run.happened || HasFailure()) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Of, EverySystemCallAtRest,
                         ::testing::Combine(::testing::ValuesIn(kScenes),
                                            ::testing::Values(EINTR, EAGAIN, EMFILE, ENOMEM, ENOSPC, EIO,
                                                              EPERM)),
                         [](const auto& tested) {
                           return std::string(std::get<0>(tested.param).name) + "With" +
                                  ::strerrorname_np(std::get<1>(tested.param));
                         });

}  // namespace
}  // namespace sluice::crypto::test

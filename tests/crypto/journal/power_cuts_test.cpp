// The power is cut at any moment of a journal's life, recovery included, under every policy: what was durable is
// there, what is there is right, and the journal goes on. ./run long PowerCuts does so for minutes.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "simulated_disk.hpp"
#include "sluice/crypto/journal/journal_reader.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

using namespace std::chrono_literals;

#ifdef SLUICE_SOAK
constexpr auto kTime = 180s;
#else
constexpr auto kTime = 400ms;
#endif

std::uint64_t seed_of_run() {
  const char* text = std::getenv("SLUICE_SEED");
  return text == nullptr ? std::random_device{}() : std::strtoull(text, nullptr, 10);
}

/// One journal, and what it must hold: the record with number n stands at n - 1.
class PoweredJournal {
 public:
  PoweredJournal(SyncPolicy policy, std::mt19937_64& random) : policy_(policy), random_(random) {}

  /// Opens it, works with it until it is closed or the power is cut, and looks at what is left. Returns
  /// whether it was cut.
  bool live() {
    const auto place = place_of(life_);
    SimulatedDisk disk(place, random_, below(below(3) == 0 ? 12 : 90));
    try {
      SealedJournal journal(place, key_, options());
      EXPECT_EQ(journal.next_sequence(), records_.size() + 1);
      std::optional<JournalReader> reader;
      for (std::uint64_t i = below(60); i > 0; --i) {
        const std::uint64_t oldest = journal.oldest_sequence();
        act(journal);
        if (journal.oldest_sequence() != oldest) reader.reset();  // pruned what it hasn't read yet, maybe
        if (below(4) > 0) continue;
        if (!reader) reader.emplace(place, key_, std::string(), durable_ + 1, ReadUpTo::durable);
        read_durable(*reader);
      }
      journal.close();
      if (!disk.was_cut()) durable_ = records_.size();
    } catch (const error& failure) {
      EXPECT_EQ(failure.code(), std::errc::io_error) << failure.what();
    }
    if (!disk.was_cut()) return false;
    if (std::filesystem::exists(place)) {
      // What was said to be durable before the cut, whenever it is read.
      if (JournalReader reader(place, key_, {}, 0, ReadUpTo::durable); reader.position() > 0)
        read_durable(reader);
    }
    disk.write_image(place_of(++life_));
    std::filesystem::remove_all(place);
    read_what_is_left();
    return true;
  }

  std::size_t size() const { return records_.size(); }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  std::filesystem::path place_of(std::uint64_t life) const { return scratch_ / std::to_string(life); }
  JournalOptions options() const {
    return {.sync = policy_, .sync_interval = 50us, .segment_bytes = 64UL * 1024, .frame_bytes = 1024};
  }

  void act(SealedJournal& journal) {
    switch (below(12)) {
      case 0:
        journal.flush();
        break;
      case 1:
        journal.sync();
        break;
      case 2:
        journal.roll();
        break;
      case 3:
        if (below(4) == 0 && durable_ > 0) journal.prune_before(below(durable_) + 1);
        break;
      default:
        records_.push_back(
            pattern(below(8) == 0 ? below(9000) : below(300), static_cast<std::uint32_t>(random_() | 1U)));
        try {
          EXPECT_EQ(journal.append(records_.back()), records_.size());
        } catch (...) {
          // It may be there or not; if not, its number is another's later.
          durable_ = std::max(durable_, journal.durable_sequence() - 1);
          throw;
        }
        if (policy_ == SyncPolicy::each) durable_ = records_.size();
    }
    durable_ = std::max<std::uint64_t>(durable_, journal.durable_sequence() - 1);
  }

  void read_durable(JournalReader& reader) {
    while (const auto next = reader.next()) {
      expect_right(*next);
      durable_ = std::max(durable_, next->sequence);
    }
  }

  void read_what_is_left() {
    JournalReader reader(place_of(life_), key_);
    std::uint64_t last = 0;
    while (const auto next = reader.next()) {
      expect_right(*next);
      EXPECT_TRUE(last == 0 || next->sequence == last + 1);
      last = next->sequence;
    }
    EXPECT_GE(last, durable_);
    records_.resize(last);
  }

  void expect_right(const JournalRecord& record) {
    ASSERT_LE(record.sequence, records_.size());
    const Bytes& expected = records_[record.sequence - 1];
    EXPECT_TRUE(std::ranges::equal(record.bytes, expected)) << "record " << record.sequence;
  }

  SyncPolicy policy_;
  std::mt19937_64& random_;
  const ScratchDirectory scratch_;
  const SecretKey key_ = test_key();
  std::uint64_t life_ = 0;
  std::vector<Bytes> records_;
  std::uint64_t durable_ = 0;  // so many records must survive
};

TEST(PowerCuts, LoseNothingThatWasDurable) {
  const std::uint64_t seed = seed_of_run();
  std::cout << "SLUICE_SEED=" << seed << '\n';
  std::mt19937_64 random(seed);
  const auto end = std::chrono::steady_clock::now() + kTime;
  std::uint64_t lives = 0;
  std::uint64_t cuts = 0;
  std::uint64_t records = 0;
  while (std::chrono::steady_clock::now() < end && !testing::Test::HasFailure()) {
    for (const auto policy : {SyncPolicy::each, SyncPolicy::interval, SyncPolicy::none}) {
      PoweredJournal journal(policy, random);
      for (int i = 0; i < 12 && !testing::Test::HasFailure(); ++i) {
        SCOPED_TRACE("life " + std::to_string(i) + ", policy " + std::to_string(static_cast<int>(policy)));
        cuts += journal.live() ? 1U : 0U;
        ++lives;
      }
      records += journal.size();
    }
  }
  std::cout << cuts << " power cuts in " << lives << " lives of a journal; " << records << " records left\n";
}

}  // namespace
}  // namespace sluice::crypto::test

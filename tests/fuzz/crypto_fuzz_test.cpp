// A short mutation run over the fuzz bodies in every build; SLUICE_FUZZ_SECONDS makes it longer,
// SLUICE_FUZZ_SEED repeats one.
#include "crypto_fuzz.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>

#include "../crypto/support.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"

namespace sluice::crypto::test {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  Bytes operator()(const std::vector<Bytes>& seeds) {
    Bytes bytes = pick(seeds);
    for (std::uint64_t i = below(4); i < 4; ++i) change(bytes, seeds);
    return bytes;
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }
  const Bytes& pick(const std::vector<Bytes>& seeds) { return seeds[below(seeds.size())]; }
  auto at(const Bytes& bytes) { return bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size())); }

  void change(Bytes& bytes, const std::vector<Bytes>& seeds) {
    static constexpr std::array<std::uint32_t, 8> kNumbers{0,          1,          15,         16,
                                                           0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
    if (bytes.empty()) return;
    // Half of all changes hit the header, where the decisions are.
    const std::size_t position =
        below(2) == 0 ? below(std::min<std::size_t>(bytes.size(), 150)) : below(bytes.size());
    switch (below(7)) {
      case 0:
        bytes[position] ^= static_cast<std::byte>(1U << below(8));
        break;
      case 1:
        bytes[position] = static_cast<std::byte>(below(256));
        break;
      case 2: {
        const std::uint32_t number = kNumbers[below(kNumbers.size())];
        for (std::size_t i = 0; i < 4 && position + i < bytes.size(); ++i) {
          bytes[position + i] = static_cast<std::byte>(number >> (8 * i));
        }
        break;
      }
      case 3:
        bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(position), bytes.end());
        break;
      case 4:
        bytes.insert(bytes.end(), below(5000), static_cast<std::byte>(below(2) * 0xff));
        break;
      case 5: {
        const Bytes& other = pick(seeds);
        const auto from = static_cast<std::ptrdiff_t>(below(other.size()));
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(position), other.begin() + from,
                     other.end());
        break;
      }
      default:
        std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(position),
                  bytes.begin() + static_cast<std::ptrdiff_t>(std::min(bytes.size(), position + 600)),
                  std::byte{0});
    }
  }

  std::mt19937_64 random_;
};

template <typename Body>
void mutate(const std::vector<Bytes>& seeds, Body body) {
  const std::uint64_t seed = from_environment("SLUICE_FUZZ_SEED", std::random_device{}());
  std::cout << "SLUICE_FUZZ_SEED=" << seed << '\n';
  Mutator mutator(seed);
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::seconds(from_environment("SLUICE_FUZZ_SECONDS", 2));
  std::uint64_t runs = 0;
  for (; std::chrono::steady_clock::now() < end; ++runs) body(mutator(seeds));
  std::cout << runs << " inputs\n";
}

std::vector<Bytes> stream_seeds() {
  std::vector<Bytes> seeds;
  for (const std::size_t size : {0U, 100U, 4096U, 10'000U}) {
    seeds.push_back(seal_bytes(pattern(size), test_key(), {.chunk_bytes = 4096}));
  }
  seeds.push_back(seal_bytes(pattern(20'000), test_key(), {.format = Format::c2sp}));
  // Version 1: a header and lengths, with chunks that won't verify.
  auto v1 = to_bytes("AGCM");
  v1.resize(24 + 4 + 80);
  v1[4] = std::byte{1};
  v1[20] = std::byte{64};
  v1[24] = std::byte{80};
  seeds.push_back(v1);
  return seeds;
}

TEST(CryptoFuzz, HeadersAndKeyFilesAreDecodedOrRefused) {
  auto seeds = stream_seeds();
  seeds.push_back(to_bytes("AGKP"));
  seeds.back().resize(48);
  mutate(seeds, [](const Bytes& bytes) { fuzz::run_headers(bytes); });
}

TEST(CryptoFuzz, MutatedStreamsAreRefusedByEveryReader) {
  const auto seeds = stream_seeds();
  for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(fuzz::run_stream(seeds[i]));
  mutate(seeds, [&](const Bytes& bytes) {
    const bool untouched = std::ranges::find(seeds, bytes) != seeds.end();
    ASSERT_EQ(fuzz::run_stream(bytes), untouched && bytes != seeds.back());
  });
}

TEST(CryptoFuzz, MutatedJournalsAreReadToATornTailOrRefused) {
  std::vector<Bytes> seeds;
  const ScratchDirectory scratch;
  for (const int frames : {1, 5}) {
    const auto place = scratch / std::to_string(frames);
    SealedJournal journal(place, test_key(), {.sync = SyncPolicy::none});
    for (int i = 0; i < frames * 3; ++i) {
      journal.append(pattern(static_cast<std::size_t>(i) * 70));
      if (i % 3 == 0) i % 2 == 0 ? journal.sync() : journal.flush();
    }
    journal.close();
    for (const auto& entry : std::filesystem::directory_iterator(place)) {
      if (entry.path().extension() == ".agcj") seeds.push_back(read_file(entry.path()));
    }
  }
  for (const auto& seed : seeds) EXPECT_TRUE(fuzz::run_journal(seed));
  mutate(seeds, [](const Bytes& bytes) { fuzz::run_journal(bytes); });
}

}  // namespace
}  // namespace sluice::crypto::test

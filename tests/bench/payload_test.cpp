#include "harness/payload.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <stdexcept>
#include <vector>

namespace sluice::bench {
namespace {

constexpr std::array<std::size_t, 7> kSizes{8, 16, 56, 64, 256, 4096, 65536};

std::vector<std::byte> copy_of(Bytes message) {
  return {message.begin(), message.end()};
}

TEST(Payload, CheckerAcceptsWhatTheSourceMakes) {
  for (const auto bytes : kSizes) {
    Source source(bytes);
    Checker checker(bytes);
    for (std::uint64_t i = 0; i < 300; ++i) {
      const auto flags = i == 100 ? kStartFlag : i == 299 ? kLastFlag : 0;
      EXPECT_EQ(checker.check(source.next(flags)), i | flags) << bytes;
    }
  }
}

TEST(Payload, CheckerRefusesAMessageTwice) {
  for (const auto bytes : kSizes) {
    Source source(bytes);
    Checker checker(bytes);
    const auto message = copy_of(source.next());
    checker.check(message);
    EXPECT_THROW(checker.check(message), std::runtime_error) << bytes;
  }
}

TEST(Payload, CheckerRefusesASkippedMessage) {
  Source source(64);
  Checker checker(64);
  source.next();
  EXPECT_THROW(checker.check(source.next()), std::runtime_error);
}

TEST(Payload, CheckerRefusesEveryFlippedBit) {
  constexpr std::size_t kBytes = 64;
  for (std::size_t bit = 0; bit < kBytes * 8; ++bit) {
    if (bit == 62 || bit == 63) continue;  // the two flags
    Source source(kBytes);
    Checker checker(kBytes);
    auto message = copy_of(source.next());
    message[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_THROW(checker.check(message), std::runtime_error) << bit;
  }
}

TEST(Payload, CheckerRefusesTheBodyOfAnOlderMessage) {
  for (const auto bytes : {std::size_t{64}, std::size_t{65536}}) {
    Source source(bytes);
    Checker checker(bytes);
    const auto old = copy_of(source.next());
    checker.check(old);
    auto message = copy_of(source.next());
    std::copy(old.begin() + 8, old.end(), message.begin() + 8);
    EXPECT_THROW(checker.check(message), std::runtime_error) << bytes;
  }
}

TEST(Payload, CheckerRefusesAnotherSize) {
  Source source(64);
  Checker checker(64);
  EXPECT_THROW(checker.check(source.next().first(56)), std::runtime_error);
}

TEST(Payload, SizesAreMultiplesOfEight) {
  EXPECT_THROW(Source(0), std::invalid_argument);
  EXPECT_THROW(Source(12), std::invalid_argument);
}

TEST(Payload, GeneratedMessagesAreChecked) {
  std::vector<std::byte> room(256);
  generate(room, 41, kStartFlag);
  EXPECT_EQ(check_generated(room, 41), 41 | kStartFlag);
  EXPECT_THROW(check_generated(room, 42), std::runtime_error);
  room[200] ^= std::byte{1};
  EXPECT_THROW(check_generated(room, 41), std::runtime_error);
}

}  // namespace
}  // namespace sluice::bench

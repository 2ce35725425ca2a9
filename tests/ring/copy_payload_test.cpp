// The copy of small payloads against a plain loop, at every size up to well beyond the last special case.
#include "sluice/ring/detail/copy_payload.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::ring {
namespace {

constexpr std::size_t kMostBytes = 200;
constexpr std::size_t kMargin = 32;
constexpr std::byte kUntouched{0xEE};

TEST(CopyPayload, CopiesEverySizeAtEveryAlignmentAndNothingAroundIt) {
  std::vector<std::byte> source(kMostBytes + 16);
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::byte>(i * 7 + 1);
  for (std::size_t bytes = 0; bytes <= kMostBytes; ++bytes) {
    for (std::size_t shift = 0; shift < 16; ++shift) {
      // Exactly as long as the payload, so that a checker sees a read beyond its end.
      const std::vector<std::byte> payload(source.begin() + static_cast<std::ptrdiff_t>(shift),
                                           source.begin() + static_cast<std::ptrdiff_t>(shift + bytes));
      std::vector<std::byte> target(kMargin + kMostBytes + kMargin, kUntouched);
      std::vector<std::byte> expected = target;
      const std::size_t place = kMargin / 2 + shift;
      for (std::size_t i = 0; i < bytes; ++i) expected[place + i] = payload[i];
      copy_payload(target.data() + place, payload);
      ASSERT_EQ(target, expected) << bytes << " bytes at " << place;
    }
  }
}

}  // namespace
}  // namespace sluice::ring

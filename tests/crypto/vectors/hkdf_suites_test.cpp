// HKDF with SHA-512, against the public suite and the one of Debian's python3-cryptography.
#include <gtest/gtest.h>

#include <array>

#include "hkdf.hpp"
#include "suites.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

class HkdfSuites : public testing::TestWithParam<Origin> {};

INSTANTIATE_TEST_SUITE_P(From, HkdfSuites, kBothOrigins, name_of);

TEST_P(HkdfSuites, GiveTheirResults) {
  const auto [content, missing] = suite(GetParam(), "hkdf", "public/hkdf_sha512_test.json");
  if (content.is_null()) GTEST_SKIP() << missing;
  for (const auto& group : content.at("testGroups")) {
    for (const auto& vector : group.at("tests")) {
      std::array<std::byte, 64> prk{};
      hkdf_extract(hex_field(vector, "salt"), hex_field(vector, "ikm"), prk);
      Bytes output(vector.at("size").get<std::size_t>());
      const auto info = hex_field(vector, "info");
      if (vector.at("result") == "valid") {
        hkdf_expand(prk, {info}, output);
        EXPECT_EQ(output, hex_field(vector, "okm")) << vector.at("tcId");
      } else {
        EXPECT_EQ(code_of([&] { hkdf_expand(prk, {info}, output); }), sluice::errc::bad_option)
            << vector.at("tcId");
      }
    }
  }
}

}  // namespace
}  // namespace sluice::crypto::test

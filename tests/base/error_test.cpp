// One exception type, a category for each room, and messages that name what they are about.
#include "sluice/base/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "sluice/base/detail/error_category.hpp"

namespace sluice::test {
namespace {

TEST(Error, EndsWithTheMessageOfItsCode) {
  const error failure(errc::bad_option, "depth: expected 1 .. 8, got 9");
  EXPECT_STREQ(failure.what(), "depth: expected 1 .. 8, got 9: option out of range");
  EXPECT_EQ(failure.code(), errc::bad_option);
}

TEST(Error, IsToldWhatItIsAboutWithoutRepeatingItsCode) {
  const error failure = error(errc::misuse, "used after close").about("journal").about("orders");
  EXPECT_STREQ(failure.what(), "orders: journal: used after close: misuse");
  EXPECT_EQ(failure.code(), errc::misuse);
}

TEST(Error, OfASystemCallCarriesItsErrno) {
  try {
    errno = ENOENT;
    throw_errno("open orders");
    FAIL();
  } catch (const error& failure) {
    EXPECT_EQ(failure.code(), std::errc::no_such_file_or_directory);
    EXPECT_EQ(failure.code().category(), std::system_category());
    EXPECT_EQ(std::string(failure.about("here").what()).rfind("here: open orders: ", 0), 0U);
  }
}

TEST(Error, OfEveryCodeHasAMessage) {
  for (int code = 1; code <= static_cast<int>(errc::misuse); ++code) {
    EXPECT_EQ(category().message(code).find("unknown"), std::string::npos) << code;
  }
  EXPECT_EQ(category().message(0), "unknown error 0");
  EXPECT_STREQ(category().name(), "sluice");
}

constinit const base::ErrorCategory kFirst("first", [](int) { return std::string_view("one thing"); });
constinit const base::ErrorCategory kSecond("second", [](int) { return std::string_view("another"); });

TEST(ErrorCategory, IsEqualToItselfOnly) {
  EXPECT_EQ(kFirst.get(), kFirst.get());
  EXPECT_NE(kFirst.get(), kSecond.get());
  EXPECT_NE(std::error_code(1, kFirst.get()), std::error_code(1, kSecond.get()));
  EXPECT_EQ(kFirst.get().message(1), "one thing");
}

struct Late {
  ~Late() {
    if (category().message(static_cast<int>(errc::busy)) != "in use by another writer") std::abort();
  }
};
TEST(ErrorCategory, IsStillThereAtTheVeryEndOfTheProgram) {
  EXPECT_EXIT(
      {
        static const Late late;
        std::exit(0);
      },
      testing::ExitedWithCode(0), "");
}

TEST(WordsOf, AnExceptionThatHasNoneAreSome) {
  struct Silent : std::exception {
    const char* what() const noexcept override { return nullptr; }
  };
  EXPECT_EQ(words_of(Silent()), "an exception without words");
  EXPECT_EQ(words_of(std::runtime_error("full")), "full");
}

}  // namespace
}  // namespace sluice::test

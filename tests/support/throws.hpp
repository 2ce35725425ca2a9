// Expecting an error: its code and words of its message.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "sluice/base/error.hpp"

namespace sluice::test {

/// "CATEGORY: MESSAGE".
template <class Code>
std::string code_text(const Code& code) {
  using Shown =
      std::conditional_t<std::is_convertible_v<Code, std::error_code>, std::error_code, std::error_condition>;
  const Shown shown = code;
  return std::string(shown.category().name()) + ": " + shown.message();
}

/// Success if `body` throws sluice::error with this code and a message that contains `words`. `code` is of
/// one of the library's enums, or a std::errc for the failure of a system call. Use:
/// EXPECT_TRUE(throws(errc::bad_name, "is empty", [&] { ... }));
template <class Code, class Body>
::testing::AssertionResult throws(Code code, std::string_view words, Body body) {
  try {
    body();
  } catch (const error& failure) {
    const std::string message = failure.what();
    if (failure.code() != code) {
      return ::testing::AssertionFailure() << "expected \"" << code_text(code) << "\", got \""
                                           << code_text(failure.code()) << "\": " << message;
    }
    if (message.find(words) == std::string::npos) {
      return ::testing::AssertionFailure() << "expected \"" << words << "\" in: " << message;
    }
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "nothing was thrown; expected \"" << code_text(code) << '"';
}

}  // namespace sluice::test

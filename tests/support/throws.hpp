// Expecting an error: its code and words of its message.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "sluice/base/error.hpp"

namespace sluice::test {

/// Success if `body` throws sluice::error with this code and a message that contains `words`. `code` is an
/// errc, or a std::errc for the failure of a system call. Use: EXPECT_TRUE(throws(errc::bad_name, "is empty",
/// [&] { ... }));
template <class Code, class Body>
::testing::AssertionResult throws(Code code, std::string_view words, Body body) {
  try {
    body();
  } catch (const error& failure) {
    const std::string message = failure.what();
    if (failure.code() != code) {
      return ::testing::AssertionFailure()
             << "expected code " << static_cast<int>(code) << ", got " << failure.code() << ": " << message;
    }
    if (message.find(words) == std::string::npos) {
      return ::testing::AssertionFailure() << "expected \"" << words << "\" in: " << message;
    }
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "nothing was thrown; expected code " << static_cast<int>(code);
}

}  // namespace sluice::test

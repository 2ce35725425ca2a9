// Text of unknown origin, made fit for a terminal.
#include "sluice/base/detail/quoted_text.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace sluice::base {
namespace {

TEST(PrintableText, KeepsWhatPeopleWrite) {
  for (const std::string text :
       {"", "plain", "C:\\folder \"quoted\"", "caf\xc3\xa9", "\xe6\x97\xa5\xe6\x9c\xac", "\xf0\x9f\x90\x9f",
        "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d"})
    EXPECT_EQ(printable(text), text);
}

TEST(PrintableText, EscapesEveryControlCharacter) {
  for (int code = 0; code < 0x20; ++code)
    EXPECT_EQ(printable(std::string(1, static_cast<char>(code))).size(), 4U);
  EXPECT_EQ(printable("\x1b[2J\r\n\x7f"), R"(\x1b[2J\x0d\x0a\x7f)");
  EXPECT_EQ(printable("\xc2\x9b"
                      "8m"),
            R"(\xc2\x9b8m)");  // CSI as one character
}

TEST(PrintableText, EscapesWhatIsInvisibleOrTurnsTheDirectionOfWriting) {
  for (const std::string text :
       {"\xd8\x9c", "\xe2\x80\x8b", "\xe2\x80\x8f", "\xe2\x80\xa8", "\xe2\x80\xae", "\xe2\x81\xa6",
        "\xe2\x81\xa9", "\xef\xbb\xbf", "\xf3\xa0\x81\x81", "\xc2\xad"}) {
    const std::string result = printable(text);
    EXPECT_EQ(result.size(), 4 * text.size()) << result;
  }
}

TEST(PrintableText, EscapesEachByteOfWhatIsNoUtf8) {
  for (const auto& [text, expected] : std::vector<std::pair<std::string, std::string>>{
           {"\xff\xfe", R"(\xff\xfe)"},
           {"a\x80z", R"(a\x80z)"},
           {"\xc3", R"(\xc3)"},  // cut
           {"\xe2\x82", R"(\xe2\x82)"},
           {"\xc3(", R"(\xc3()"},
           {"\xc0\x9b", R"(\xc0\x9b)"},  // longer than need be
           {"\xe0\x80\x9b", R"(\xe0\x80\x9b)"},
           {"\xed\xa0\x80", R"(\xed\xa0\x80)"},          // a surrogate
           {"\xf4\x90\x80\x80", R"(\xf4\x90\x80\x80)"},  // beyond the last
       })
    EXPECT_EQ(printable(text), expected);
}

TEST(PrintableText, IsCutAndSaysHowLongItWas) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdef", 3), "abc... (6 bytes)");
  EXPECT_EQ(printable("a\xc3\xa9z", 2), "a\xc3\xa9... (4 bytes)");  // no character is cut in two
  EXPECT_LE(printable(std::string(1U << 20U, '\x1b')).size(), 4200U);
}

TEST(PrintableText, MayPassTwice) {
  std::string every;
  for (int byte = 0; byte < 256; ++byte) every += static_cast<char>(byte);
  EXPECT_EQ(printable(printable(every)), printable(every));
}

TEST(QuotedText, EscapesItsQuotes) {
  EXPECT_EQ(quoted_text("a\"b\\c\x1b\xc3\xa9"), "\"a\\\"b\\\\c\\x1b\xc3\xa9\"");
  EXPECT_EQ(quoted_text("abcdef", 3), "\"abc\"... (6 bytes)");
}

TEST(Utf8, IsToldFromOtherBytes) {
  for (const std::string text : {"", "plain", "caf\xc3\xa9\x1b", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(text)) << text;
  for (const std::string text : {"\xc3", "a\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"})
    EXPECT_FALSE(is_utf8(text)) << text;
}

}  // namespace
}  // namespace sluice::base

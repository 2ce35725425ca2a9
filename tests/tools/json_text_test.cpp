// JSON and msgpack, each as the other.
#include "json_text.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "sluice/codec/decoder.hpp"
#include "sluice/codec/timestamp.hpp"

namespace sluice::tools {
namespace {

using codec::Timestamp;
using Bytes = std::vector<std::byte>;

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    for (const unsigned digit :
         {std::to_integer<unsigned>(byte) >> 4U, std::to_integer<unsigned>(byte) & 0xfU})
      text += "0123456789abcdef"[digit];
  }
  return text;
}

Bytes from_hex(std::string_view text) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return bytes;
}

std::string to_json(std::span<const std::byte> packed, bool for_terminal = false) {
  codec::Decoder decoder(kJsonLimits);
  return line_of(json_of(decoder.decode<msgpack::object>(packed)), for_terminal);
}

template <typename T>
std::string json_of_value(const T& value) {
  msgpack::sbuffer packed;
  msgpack::pack(packed, value);
  return to_json(std::as_bytes(std::span(packed.data(), packed.size())));
}

Bytes to_msgpack(std::string_view text) {
  return packed_of(parse_json(text));
}

std::string name(std::uint32_t number) {
  return std::string("k").append(std::to_string(number));
}

/// Success if the text is refused with these words.
::testing::AssertionResult is_refused(std::string_view text, const std::string& words) {
  try {
    to_msgpack(text);
  } catch (const std::runtime_error& failure) {
    if (std::string(failure.what()).find(words) != std::string::npos) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "expected \"" << words << "\", got: " << failure.what();
  }
  return ::testing::AssertionFailure() << text << " is taken";
}

TEST(JsonText, HasTheBytesOfMsgpack) {
  const std::vector<std::pair<std::string, std::string>> pairs{
      {"null", "c0"},
      {"true", "c3"},
      {"false", "c2"},
      {"0", "00"},
      {"-1", "ff"},
      {"18446744073709551615", "cfffffffffffffffff"},
      {"-9223372036854775808", "d38000000000000000"},
      {"9007199254740993", "cf0020000000000001"},
      {"1.0", "cb3ff0000000000000"},
      {"-0.0", "cb8000000000000000"},
      {"0.1", "cb3fb999999999999a"},
      {R"("")", "a0"},
      {R"("ä\u0000")", "a3c3a400"},
      {"[]", "90"},
      {"{}", "80"},
      {R"({"a":[1,{"b":null}]})",
       "81a1619201"
       "81a162c0"},
      {R"({"$binary":"AAH/"})", "c4030001ff"},
      {R"({"$binary":""})", "c400"},
      {R"({"$string":"/w=="})", "a1ff"},
      {R"({"$float":"NaN"})", "cb7ff8000000000000"},
      {R"({"$float":"Infinity"})", "cb7ff0000000000000"},
      {R"({"$float":"-Infinity"})", "cbfff0000000000000"},
      {R"({"$ext":[-128,"AA=="]})", "d48000"},
      {R"({"$ext":[127,""]})", "c7007f"},
      {R"({"$map":[[1,2],["$a",[]]]})",
       "82"
       "0102"
       "a22461"
       "90"},
      {R"({"$map":[["$map",1]]})", "81a4246d617001"},
      {R"({"$unknown":1})", "81a824756e6b6e6f776e01"},
      {R"({"$binary":"AA==","b":1})", "82a72462696e617279a441413d3da16201"},
      {R"({"$timestamp":"1970-01-01T00:00:00Z"})", "d6ff00000000"},
      {R"({"$timestamp":"2106-02-07T06:28:16.000000001Z"})", "d7ff0000000500000000"},
  };
  for (const auto& [text, bytes] : pairs) {
    EXPECT_EQ(hex(to_msgpack(text)), bytes) << text;
    // And back, except for texts that have a shorter form.
    if (text == R"({"$map":[[1,2],["$a",[]]]})") continue;
    EXPECT_EQ(to_json(from_hex(bytes)), text == R"("ä\u0000")" ? "\"ä\\u0000\"" : text);
  }
}

TEST(JsonText, SaysWhatJsonHasNotGotByMarkedObjects) {
  EXPECT_EQ(json_of_value(std::numeric_limits<float>::infinity()), R"({"$float":"Infinity"})");
  EXPECT_EQ(json_of_value(std::string("\xc3")), R"({"$string":"ww=="})");
  EXPECT_EQ(json_of_value(std::map<int, std::string>{{1, "a"}, {2, "b"}}), R"({"$map":[[1,"a"],[2,"b"]]})");
  EXPECT_EQ(json_of_value(std::map<std::string, int>{{"\xff", 1}}), R"({"$map":[[{"$string":"/w=="},1]]})");
  EXPECT_EQ(json_of_value(std::map<std::string, int>{{"$ext", 1}}), R"({"$map":[["$ext",1]]})");
  EXPECT_EQ(json_of_value(std::map<std::string, int>{{"$ext", 1}, {"$map", 2}}), R"({"$ext":1,"$map":2})");
  EXPECT_EQ(to_json(from_hex("82a16101a16102")), R"({"$map":[["a",1],["a",2]]})") << "equal keys";
}

TEST(JsonText, HasTimesAsRfc3339) {
  const std::vector<std::pair<Timestamp, std::string>> times{
      {{0, 0}, "1970-01-01T00:00:00Z"},
      {{-1, 500'000'000}, "1969-12-31T23:59:59.5Z"},
      {{951'782'400, 1}, "2000-02-29T00:00:00.000000001Z"},
      {{253'402'300'799, 999'999'999}, "9999-12-31T23:59:59.999999999Z"},
      {{-62'167'219'200, 0}, "0000-01-01T00:00:00Z"},
  };
  for (const auto& [time, text] : times) {
    const std::string json = R"({"$timestamp":")" + text + "\"}";
    EXPECT_EQ(json_of_value(time), json);
    EXPECT_EQ(codec::Decoder(kJsonLimits).decode<Timestamp>(to_msgpack(json)), time) << text;
  }
  // Times that RFC 3339 can't say stay whole.
  for (const Timestamp time : {Timestamp{253'402'300'800, 0}, Timestamp{-62'167'219'201, 7},
                               Timestamp{std::numeric_limits<std::int64_t>::min(), 0},
                               Timestamp{std::numeric_limits<std::int64_t>::max(), 999'999'999}}) {
    const std::string json = json_of_value(time);
    EXPECT_TRUE(json.starts_with(R"({"$ext":[-1,")")) << json;
    EXPECT_EQ(codec::Decoder(kJsonLimits).decode<Timestamp>(to_msgpack(json)), time);
  }
  EXPECT_EQ(to_msgpack(R"({"$timestamp":"2026-05-04t03:02:01.120z"})"),
            to_msgpack(R"({"$timestamp":"2026-05-04T05:32:01.12+02:30"})"));
  for (const std::string text :
       {"", "2026-05-04", "2026-05-04T03:02:01", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-05-04T24:00:00Z", "2026-05-04T03:60:00Z", "2026-05-04T03:02:60Z", "2026-05-04T03:02:01.Z",
        "2026-05-04T03:02:01.1234567890Z", "2026-05-04T03:02:01+24:00", "2026-05-04T03:02:01Z ",
        "+026-05-04T03:02:01Z", "2026-05-04 03:02:01Z"})
    EXPECT_TRUE(is_refused(R"({"$timestamp":")" + text + "\"}", "is no RFC 3339 time")) << text;
}

TEST(JsonText, RefusesMarkedObjectsThatAreNotFilledIn) {
  for (const std::string marker : {"$binary", "$string", "$float", "$timestamp"})
    EXPECT_TRUE(is_refused("{\"" + marker + "\":1}", "\"" + marker + "\": expected a string"));
  for (const std::string text :
       {"A", "AA", "AA=", "AAA", "AAAA=", "A===", "AB==", " AA==", "AA==\\n", "AA-_", "===="})
    EXPECT_TRUE(is_refused("{\"$binary\":\"" + text + "\"}", "is no base64")) << text;
  EXPECT_TRUE(is_refused(R"({"$float":"nan"})", "expected NaN"));
  for (const std::string content : {"1", "[]", "[1]", "[1,2]", "[128,\"\"]", "[-129,\"\"]", "[1.5,\"\"]",
                                    "[1,\"\",2]", "[18446744073709551615,\"\"]"})
    EXPECT_TRUE(is_refused("{\"$ext\":" + content + "}", "\"$ext\"")) << content;
  EXPECT_TRUE(is_refused(R"({"$ext":[-1,"AA=="]})", "timestamp"));
  for (const std::string content : {"1", "{}", "[1]", "[[1]]", "[[1,2,3]]", "[{}]"})
    EXPECT_TRUE(is_refused("{\"$map\":" + content + "}", "\"$map\"")) << content;
}

TEST(JsonText, RefusesWhatIsNoJsonAndSaysWhere) {
  EXPECT_TRUE(is_refused("", "at byte 1: "));
  EXPECT_TRUE(is_refused("nul", "at byte 4: "));
  EXPECT_TRUE(is_refused("[1,]", "at byte 4: "));
  EXPECT_TRUE(is_refused("1 2", "at byte 3: "));
  for (const std::string text :
       {"NaN", "Infinity", "-", "01", "'a'", "{a:1}", "[1", "{\"a\"}", "\"\xff\"", "\"\xc3\"",
        "\"\xed\xa0\x80\"", "\"\\ud800\"", "\"\t\"", "\"\\x41\"", "// no\n1", "1e400", "{1:2}"})
    EXPECT_TRUE(is_refused(text, "at byte ")) << text;
  EXPECT_TRUE(is_refused(std::string(1'000'000, 'x'), "at byte "));
}

TEST(JsonText, RefusesWhatTheLibraryWouldTakeAndLose) {
  EXPECT_TRUE(is_refused(R"({"a":1,"b":{"a":2},"a":3})", "the key \"a\" comes twice"));
  EXPECT_TRUE(is_refused("18446744073709551616", "has more than 64 bits"));
  EXPECT_TRUE(is_refused("[-9223372036854775809]", "has more than 64 bits"));
  EXPECT_EQ(hex(to_msgpack("18446744073709551616.0")), "cb43f0000000000000");
}

TEST(JsonText, BoundsNestingInBothDirections) {
  const auto nested = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_EQ(to_json(to_msgpack(nested(32))), nested(32));
  EXPECT_TRUE(is_refused(nested(33), "at most 32 levels"));
  EXPECT_TRUE(is_refused(nested(1'000'000), "nested deeper than"));
  // Maps that aren't objects take three levels each.
  std::string maps = "0";
  for (int level = 0; level < 32; ++level) maps = R"({"$map":[[0,)" + maps + "]]}";
  EXPECT_EQ(to_json(to_msgpack(maps)), maps);
}

TEST(JsonText, TakesTimeInProportionForMapsThatAreNoObjects) {
  // Each level has a key that is no string behind one whose value goes on: looked at twice, it would be 2^31 values.
  std::string bytes;
  for (int level = 0; level < 31; ++level) bytes += "82a161";
  bytes += "c0";
  for (int level = 0; level < 31; ++level) bytes += "0101";
  EXPECT_GT(to_json(from_hex(bytes)).size(), 31U * 10);
}

TEST(JsonText, TakesAnObjectOfManyKeysAndGivesThemSorted) {
  std::string text = "{";
  for (int i = 200'000; i > 0; --i)
    text.append("\"k").append(std::to_string(i)).append("\":").append(std::to_string(i)) += ',';
  text.back() = '}';
  const std::string back = to_json(to_msgpack(text));
  EXPECT_EQ(back.size(), text.size());
  EXPECT_TRUE(back.starts_with(R"({"k1":1,"k10":10,"k100":100,)"));
}

TEST(JsonText, IsAsciiForATerminal) {
  const Bytes packed = to_msgpack("\"\u009b2J\u202e\u007f\\u0007\u00e4\"");
  EXPECT_EQ(to_json(packed, true), R"("\u009b2J\u202e\u007f\u0007\u00e4")");
  EXPECT_EQ(to_msgpack(to_json(packed, true)), packed);
  EXPECT_EQ(to_msgpack(to_json(packed, false)), packed);
}

/// Random values: there and back is where one was.
TEST(JsonText, LosesNothingOnTheWayThereAndBack) {
  std::uint32_t random = 12345;
  const auto next = [&](std::uint32_t limit) {
    return (random = random * 1664525U + 1013904223U) / 65536U % limit;
  };
  for (int round = 0; round < 2000; ++round) {
    msgpack::sbuffer buffer;
    msgpack::packer packer(buffer);
    const auto value = [&](const auto& self, unsigned depth) -> void {
      const std::string text = next(3) == 0 ? std::string(1, static_cast<char>(next(256))) : name(next(3));
      switch (depth == 0 ? next(8) : next(10)) {
        case 0:
          packer.pack_nil();
          break;
        case 1:
          packer.pack(next(2) == 0);
          break;
        case 2:
          packer.pack(std::uint64_t{next(65536)} << next(48));
          break;
        case 3:
          packer.pack(-static_cast<std::int64_t>(std::uint64_t{next(65536)} << next(48)));
          break;
        case 4:
          packer.pack(next(4) == 0 ? std::numeric_limits<double>::infinity() : 0.5 + next(65536));
          break;
        case 5:
          packer.pack(text);
          break;
        case 6:
          packer.pack(Timestamp{static_cast<std::int64_t>(next(65536)) << next(40), next(65536)});
          break;
        case 7:
          packer.pack_ext(text.size(), static_cast<std::int8_t>(next(127)));
          packer.pack_ext_body(text.data(), static_cast<std::uint32_t>(text.size()));
          break;
        case 8: {
          const std::uint32_t count = next(4);
          packer.pack_array(count);
          for (std::uint32_t i = 0; i < count; ++i) self(self, depth - 1);
          break;
        }
        default: {
          const std::uint32_t count = next(3);
          packer.pack_map(count);
          for (std::uint32_t i = 0; i < count; ++i) {
            if (next(2) == 0)
              packer.pack(next(4) == 0 ? "$map" : name(i));
            else
              self(self, depth - 1);
            self(self, depth - 1);
          }
        }
      }
    };
    value(value, 4);
    const std::string text = to_json(std::as_bytes(std::span(buffer.data(), buffer.size())));
    const Bytes again = to_msgpack(text);
    ASSERT_EQ(to_json(again), text);
    ASSERT_EQ(again.size(), buffer.size()) << text;
  }
}

}  // namespace
}  // namespace sluice::tools

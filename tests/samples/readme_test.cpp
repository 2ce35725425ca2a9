// What the README says must be what is there.
#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "command.hpp"

namespace sluice::test {
namespace {

std::filesystem::path source_file(const std::string& name) {
  return std::filesystem::path(SLUICE_SOURCE_DIR) / name;
}

/// What stands between two lines of a text, without them.
std::string between(const std::string& text, const std::string& first, const std::string& last) {
  const auto start = text.find(first);
  if (start == std::string::npos) return "no \"" + first + "\"";
  const auto from = start + first.size();
  const auto to = text.find(last, from);
  if (to == std::string::npos) return "no \"" + last + "\"";
  return text.substr(from, to - from);
}

TEST(Readme, ShowsTheQuickStartThatIsCompiled) {
  const std::string shown = between(read_file(source_file("README.md")), "```cpp\n", "```\n");
  const std::string compiled = between(read_file(source_file("samples/quick_start.cpp")),
                                       "// [quick start]\n", "// [quick start end]\n");
  EXPECT_GT(compiled.size(), 500U);
  EXPECT_EQ(shown, compiled);
}

TEST(Readme, ExplainsEveryPackageThatTheRunScriptInstalls) {
  const std::string readme = read_file(source_file("README.md"));
  const std::string script = read_file(source_file("run"));
  const std::regex list(R"((?:^|\n)\w*packages=\(([^)]*)\))");
  const std::regex word(R"(\S+)");
  int packages = 0;
  for (std::sregex_iterator found(script.begin(), script.end(), list), end; found != end; ++found) {
    const std::string names = (*found)[1];
    for (std::sregex_iterator name(names.begin(), names.end(), word); name != end; ++name, ++packages) {
      const std::string quoted = name->format("`$&`");
      EXPECT_NE(readme.find(quoted), std::string::npos) << "README.md has no word about " << quoted;
    }
  }
  EXPECT_GT(packages, 10);
}

TEST(Readme, LinksOnlyToFilesThatExist) {
  const std::string readme = read_file(source_file("README.md"));
  const std::regex link(R"(\]\(([^)#: ]+)\))");
  for (std::sregex_iterator found(readme.begin(), readme.end(), link), end; found != end; ++found) {
    EXPECT_TRUE(std::filesystem::exists(source_file((*found)[1].str()))) << (*found)[1];
  }
}

}  // namespace
}  // namespace sluice::test

// What the README says must be what is there.
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "command.hpp"
#include "places.hpp"

namespace sluice::test {
namespace {

std::filesystem::path source_file(const std::string& name) {
  return std::filesystem::path(sluice::test::source_dir()) / name;
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

/// Everything that stands between two marks, in order.
std::vector<std::string> all_between(const std::string& text, const std::string& first,
                                     const std::string& last) {
  std::vector<std::string> found;
  for (auto start = text.find(first); start != std::string::npos; start = text.find(first, start)) {
    start += first.size();
    found.push_back(text.substr(start, text.find(last, start) - start));
  }
  return found;
}

TEST(Readme, ExplainsEveryPackageThatTheRunScriptInstalls) {
  const std::string readme = read_file(source_file("README.md"));
  int packages = 0;
  for (const std::string& list : all_between(read_file(source_file("run")), "packages=(", ")")) {
    std::istringstream names(list);
    for (std::string name; names >> name; ++packages) {
      if (name.find('$') != std::string::npos) continue;  // another of the lists
      std::string quoted(1, '`');
      quoted.append(name).append(1, '`');
      EXPECT_NE(readme.find(quoted), std::string::npos) << "README.md has no word about " << name;
    }
  }
  EXPECT_GT(packages, 10);
}

TEST(Readme, LinksOnlyToFilesThatExist) {
  int files = 0;
  for (const std::string& target : all_between(read_file(source_file("README.md")), "](", ")")) {
    if (target.find_first_of(": ") != std::string::npos) continue;  // elsewhere, or code
    EXPECT_TRUE(std::filesystem::exists(source_file(target))) << target;
    ++files;
  }
  EXPECT_GT(files, 3);
}

}  // namespace
}  // namespace sluice::test

// The quick start as two processes.
#include <cstdlib>

#include "command.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

class QuickStart : public ::testing::Test {
 protected:
  QuickStart() { ::setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1); }

  Command run(const std::string& role) const {
    return {directory_, {"quick_start", role}, {}, open_file(directory_.file(role), O_CREAT | O_WRONLY)};
  }
  std::string said(const std::string& role) const { return read_file(directory_.file(role)); }

  TempDirectory directory_;
  Watchdog watchdog_{std::chrono::seconds(100), "the quick start"};
};

TEST_F(QuickStart, GetsItsAnswerWhoeverStartsFirst) {
  for (const bool server_first : {true, false}) {
    SCOPED_TRACE(server_first);
    Command first = run(server_first ? "serve" : "ask");
    ASSERT_TRUE(comes_true([&] { return is_asleep(first.pid()); }));
    Command second = run(server_first ? "ask" : "serve");
    EXPECT_TRUE(first.succeeds());
    EXPECT_TRUE(second.succeeds());
    EXPECT_EQ(said("ask"), "the server says: HELLO\n");
    EXPECT_EQ(said("serve"), "the client: closed\n");
    std::filesystem::remove(directory_.file("ask"));
    std::filesystem::remove(directory_.file("serve"));
  }
}

TEST_F(QuickStart, RefusesAnUnknownRole) {
  EXPECT_TRUE(run("dance").fails(2, "usage"));
}

}  // namespace
}  // namespace sluice::test

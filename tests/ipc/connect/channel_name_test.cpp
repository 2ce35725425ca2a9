#include "channel_name.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "child_process.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using ipc::resolve_channel_name;

// Sets or removes an environment variable until the end of the scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name); before != nullptr) before_ = before;
    set(value);
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;
  ~ScopedVariable() { set(before_ ? before_->c_str() : nullptr); }

 private:
  void set(const char* value) const {
    if (value == nullptr) {
      ::unsetenv(name_);
    } else {
      ::setenv(name_, value, 1);
    }
  }

  const char* name_;
  std::optional<std::string> before_;
};

mode_t mode_of(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0;
}

class ChannelName : public ::testing::Test {
 protected:
  Watchdog watchdog_{std::chrono::seconds(30), "ChannelName"};
  TempDirectory home_;
  ScopedVariable runtime_{"XDG_RUNTIME_DIR", home_.path().c_str()};
};

TEST_F(ChannelName, LivesInThePrivateRuntimeDirectory) {
  for (const mode_t mask : {0U, 0777U}) {
    fs::remove(home_.file("sluice"));
    const auto old_mask = ::umask(mask);
    EXPECT_EQ(resolve_channel_name("orders"), home_.file("sluice") / "orders");
    ::umask(old_mask);
    EXPECT_EQ(mode_of(home_.file("sluice")), 0700U);
  }
  EXPECT_EQ(resolve_channel_name("A.b_c-9"), home_.file("sluice") / "A.b_c-9");
}

TEST_F(ChannelName, FallsBackToADirectoryOfTheUserInTmp) {
  const std::string expected = "/tmp/sluice-" + std::to_string(::geteuid());
  for (const char* value : {static_cast<const char*>(nullptr), "", "relative/path"}) {
    const ScopedVariable variable("XDG_RUNTIME_DIR", value);
    EXPECT_EQ(resolve_channel_name("orders"), fs::path(expected) / "orders");
    EXPECT_EQ(mode_of(expected), 0700U);
  }
}

TEST_F(ChannelName, KnowsWhereTheOtherSideWouldLookWithAnotherEnvironment) {
  const std::string user = std::to_string(::geteuid());
  EXPECT_EQ(ipc::other_place("orders", "a host"),
            "; a host without XDG_RUNTIME_DIR would be at \"/tmp/sluice-" + user + "/orders\"");
  EXPECT_EQ(ipc::other_place("./orders", "a host"), "");
  const ScopedVariable variable("XDG_RUNTIME_DIR", nullptr);
  EXPECT_EQ(ipc::other_place("orders", "a host"), "; a host with XDG_RUNTIME_DIR=/run/user/" + user +
                                                      " would be at \"/run/user/" + user +
                                                      "/sluice/orders\"");
}

TEST_F(ChannelName, IsNamedWithBothPlacesWhenNobodyIsThere) {
  const std::string here = home_.file("sluice") / "orders";
  const std::string other = "/tmp/sluice-" + std::to_string(::geteuid()) + "/orders";
  EXPECT_TRUE(
      throws(errc::timed_out,
             here + "\": no socket is there; a listener without XDG_RUNTIME_DIR would be at \"" + other,
             [] { (void)connect("orders", {.timeout = std::chrono::milliseconds(10)}); }));
  EXPECT_TRUE(throws(errc::timed_out, "a host without XDG_RUNTIME_DIR would be at \"" + other,
                     [] { (void)join_session("orders", {.timeout = std::chrono::milliseconds(10)}); }));
  EXPECT_TRUE(throws(errc::timed_out,
                     here + "\" in time; a process that joins without XDG_RUNTIME_DIR would be at \"" + other,
                     [] { (void)host_session("orders", {.timeout = std::chrono::milliseconds(10)}); }));
}

TEST_F(ChannelName, RefusesNamesThatBreakTheRule) {
  EXPECT_TRUE(throws(errc::bad_name, "is empty", [] { resolve_channel_name(""); }));
  EXPECT_TRUE(throws(errc::bad_name, "has 65 bytes", [] { resolve_channel_name(std::string(65, 'a')); }));
  EXPECT_TRUE(throws(errc::bad_name, "begins with a dot", [] { resolve_channel_name(".hidden"); }));
  EXPECT_TRUE(throws(errc::bad_name, "begins with a dot", [] { resolve_channel_name(".."); }));
  EXPECT_TRUE(throws(errc::bad_name, "contains \"/\"", [] { resolve_channel_name("a/b"); }));
  EXPECT_TRUE(throws(errc::bad_name, "contains \" \"", [] { resolve_channel_name("a b"); }));
  EXPECT_TRUE(throws(errc::bad_name, "contains \"\\xc3\"", [] { resolve_channel_name("caf\xc3\xa9"); }));
  EXPECT_NO_THROW(resolve_channel_name(std::string(64, 'a')));
}

TEST_F(ChannelName, EscapesAndShortensTheOffendingText) {
  EXPECT_TRUE(throws(errc::bad_name, "\"a\\x1b[31m\"", [] { resolve_channel_name("a\x1b[31m"); }));
  EXPECT_TRUE(
      throws(errc::bad_name, "\"a\\x00b\"", [] { resolve_channel_name(std::string_view("a\0b", 3)); }));
  EXPECT_TRUE(
      throws(errc::bad_name, "\"... (100000 bytes)", [] { resolve_channel_name(std::string(100000, 'z')); }));
}

TEST_F(ChannelName, TakesAPathAsItIs) {
  const fs::path path = home_.file("channel");
  EXPECT_EQ(resolve_channel_name(path.native()), path);
  EXPECT_FALSE(fs::exists(home_.file("sluice"))) << "a path needs no runtime directory";
  EXPECT_TRUE(throws(errc::bad_name, "ends in a directory",
                     [&] { resolve_channel_name(home_.path().native() + "/"); }));
  EXPECT_TRUE(throws(errc::bad_name, "ends in a directory", [] { resolve_channel_name("./.."); }));
  EXPECT_TRUE(throws(std::errc::no_such_file_or_directory, "missing",
                     [&] { resolve_channel_name((home_.file("missing") / "channel").native()); }));
}

TEST_F(ChannelName, RefusesAPathThatIsLongerThanTheSystemAllows) {
  const std::string base = home_.path().native() + "/";
  EXPECT_NO_THROW(resolve_channel_name(base + std::string(107 - base.size(), 'p')));
  EXPECT_TRUE(throws(errc::bad_name, "has 108 bytes; the system allows 107",
                     [&] { resolve_channel_name(base + std::string(108 - base.size(), 'p')); }));
  EXPECT_TRUE(throws(errc::bad_name, "contains a zero byte",
                     [&] { resolve_channel_name(base + std::string("a\0b", 3)); }));
}

TEST_F(ChannelName, RefusesAPathInADirectoryThatOthersCanWrite) {
  const auto resolve = [&] { resolve_channel_name(home_.file("channel").native()); };
  for (const mode_t mode : {0770U, 0707U, 0777U}) {
    ASSERT_EQ(::chmod(home_.path().c_str(), mode), 0);
    EXPECT_TRUE(throws(errc::unsafe_place, "can be written by others", resolve)) << mode;
  }
  ASSERT_EQ(::chmod(home_.path().c_str(), 01777), 0);
  EXPECT_NO_THROW(resolve()) << "the sticky bit keeps others from replacing our file";
  ASSERT_EQ(::chmod(home_.path().c_str(), 0755), 0);
  EXPECT_NO_THROW(resolve());
}

TEST_F(ChannelName, RefusesAPathInADirectoryOfAUserWhoHasNothingToDoWithIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make a directory of another user";
  ASSERT_EQ(::chown(home_.path().c_str(), 65534, 65534), 0);
  const std::string path = home_.file("channel").native();
  EXPECT_TRUE(throws(errc::unsafe_place, "belongs to user 65534; expected user 0",
                     [&] { (void)resolve_channel_name(path); }));
  EXPECT_TRUE(throws(errc::unsafe_place, "belongs to user 65534; expected user 1234",
                     [&] { (void)resolve_channel_name(path, 1234); }));
  EXPECT_NO_THROW((void)resolve_channel_name(path, 65534));
}

TEST_F(ChannelName, RefusesARuntimeDirectoryThatOthersCanEnter) {
  fs::create_directory(home_.file("sluice"));
  for (const mode_t mode : {0701U, 0710U, 0777U, 01777U}) {
    ASSERT_EQ(::chmod(home_.file("sluice").c_str(), mode), 0);
    EXPECT_TRUE(throws(errc::unsafe_place, "expected 0700", [] { resolve_channel_name("orders"); })) << mode;
  }
  ASSERT_EQ(::chmod(home_.file("sluice").c_str(), 0700), 0);
  EXPECT_NO_THROW(resolve_channel_name("orders"));
}

TEST_F(ChannelName, RefusesARuntimeDirectoryInAPlaceThatOthersCanWrite) {
  ASSERT_EQ(::chmod(home_.path().c_str(), 0777), 0);
  EXPECT_TRUE(throws(errc::unsafe_place, "mode is 0777", [] { resolve_channel_name("orders"); }));
  EXPECT_FALSE(fs::exists(home_.file("sluice")));
}

TEST_F(ChannelName, RefusesARuntimeDirectoryThatIsALinkOrAFile) {
  const TempDirectory elsewhere;
  fs::create_directory_symlink(elsewhere.path(), home_.file("sluice"));
  EXPECT_TRUE(throws(errc::unsafe_place, "is a symbolic link", [] { resolve_channel_name("orders"); }));
  fs::remove(home_.file("sluice"));
  std::ofstream(home_.file("sluice")) << "no directory";
  EXPECT_TRUE(throws(errc::unsafe_place, "is a file", [] { resolve_channel_name("orders"); }));
}

TEST_F(ChannelName, RefusesARuntimeDirectoryOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make a directory of another user";
  fs::create_directory(home_.file("sluice"));
  ASSERT_EQ(::chmod(home_.file("sluice").c_str(), 0700), 0);
  ASSERT_EQ(::chown(home_.file("sluice").c_str(), 65534, 65534), 0);
  EXPECT_TRUE(throws(errc::unsafe_place, "belongs to user 65534", [] { resolve_channel_name("orders"); }));
  fs::remove(home_.file("sluice"));
  ASSERT_EQ(::chown(home_.path().c_str(), 65534, 65534), 0);
  EXPECT_TRUE(throws(errc::unsafe_place, "XDG_RUNTIME_DIR", [] { resolve_channel_name("orders"); }));
  EXPECT_FALSE(
      throws(errc::unsafe_place, "unsafe place: unsafe place", [] { resolve_channel_name("orders"); }));
}

}  // namespace
}  // namespace sluice::test

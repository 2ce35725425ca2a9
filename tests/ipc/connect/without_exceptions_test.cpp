// Setting up connections in a program that is built without exceptions: every failure is a code.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>

#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "watchdog.hpp"

#ifdef __cpp_exceptions
#error "this test must be built with -fno-exceptions"
#endif

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

class WithoutExceptions : public ::testing::Test {
 protected:
  WithoutExceptions() {
    std::string name = std::filesystem::temp_directory_path() / "sluice-test-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ / "channel";
  }
  ~WithoutExceptions() override { std::filesystem::remove_all(directory_); }

  const Watchdog watchdog_{60s, "setting up without exceptions"};
  std::filesystem::path directory_;
  std::string path_;
  std::error_code why_ = std::make_error_code(std::errc::io_error);  // as if another call had failed before
};

TEST_F(WithoutExceptions, ListensAcceptsAndConnects) {
  Listener listener = listen(path_, {}, why_);
  ASSERT_FALSE(why_) << why_.message();
  std::thread client([this] {
    std::error_code why;
    Port port = connect(path_, {}, why);
    ASSERT_FALSE(why) << why.message();
    EXPECT_EQ(port.post_message({}), Status::ok);
    EXPECT_EQ(port.wait_until_consumed(), Status::ok);
  });
  Port port = listener.accept_for(10s, why_);
  ASSERT_FALSE(why_) << why_.message();
  EXPECT_TRUE(port.receive());
  client.join();
}

TEST_F(WithoutExceptions, HostsAndJoinsASession) {
  std::thread joiner([this] {
    std::error_code why;
    Port port = join_session(path_, {}, why);
    ASSERT_FALSE(why) << why.message();
    EXPECT_EQ(port.post_message({}), Status::ok);
    EXPECT_EQ(port.wait_until_consumed(), Status::ok);
  });
  Port port = host_session(path_, {}, why_);
  ASSERT_FALSE(why_) << why_.message();
  EXPECT_TRUE(port.receive());
  joiner.join();
}

TEST_F(WithoutExceptions, TellsWhyAListenerCannotBe) {
  (void)listen(".hidden", {}, why_);
  EXPECT_EQ(why_, errc::bad_name);
  (void)listen(path_, {.handshake_timeout = 0ns}, why_);
  EXPECT_EQ(why_, errc::bad_option);
  (void)listen(path_, {.port = {.ring_bytes = 5000}}, why_);
  EXPECT_EQ(why_, errc::bad_option);
  const Listener first = listen(path_, {}, why_);
  EXPECT_FALSE(why_);
  Listener second = listen(path_, {}, why_);
  EXPECT_EQ(why_, connect_errc::name_taken);
  EXPECT_EQ(second.path(), "");
  second.close();
  (void)second.accept(why_);
  EXPECT_EQ(why_, connect_errc::closed);
}

TEST_F(WithoutExceptions, TellsADeadlineThatPassedFromAListenerThatWasClosed) {
  Listener listener = listen(path_, {}, why_);
  (void)listener.accept_for(1ms, why_);
  EXPECT_EQ(why_, errc::timed_out);
  listener.close();
  (void)listener.accept_for(1ms, why_);
  EXPECT_EQ(why_, connect_errc::closed);
  (void)listener.accept(why_);
  EXPECT_EQ(why_, connect_errc::closed);
}

TEST_F(WithoutExceptions, TellsWhyNobodyIsReached) {
  (void)connect(path_, {.timeout = 10ms}, why_);
  EXPECT_EQ(why_, errc::timed_out);
  (void)connect(path_, {.listener_user = ::geteuid() + 1, .timeout = 10ms}, why_);
  EXPECT_EQ(why_, errc::timed_out);
  (void)join_session(path_, {.timeout = 10ms}, why_);
  EXPECT_EQ(why_, errc::timed_out);
  (void)host_session(path_, {.timeout = 10ms}, why_);
  EXPECT_EQ(why_, errc::timed_out);
  (void)host_session(path_, {.resume_window = -1ns}, why_);
  EXPECT_EQ(why_, errc::bad_option);
}

}  // namespace
}  // namespace sluice::test

// A socket file that is replaced while listen() opens it to other users: the mode of no other file changes.
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <utility>

#include "listening_socket.hpp"
#include "temp_directory.hpp"
#include "throws.hpp"

namespace {

/// Called once, behind the next call of this kind.
std::function<void()> behind_bind;
std::function<void()> behind_fstat_of_a_socket;

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

void call_once(std::function<void()>& step) {
  if (step) std::exchange(step, nullptr)();
}

}  // namespace

// Each stands before the C library's function of the same name, and passes on to it.
extern "C" int bind(int fd, const sockaddr* address, socklen_t size) {
  static auto* const next = real<int(int, const sockaddr*, socklen_t)>("bind");
  const int result = next(fd, address, size);
  call_once(behind_bind);
  return result;
}
extern "C" int fstat(int fd, struct stat* status) {
  static auto* const next = real<int(int, struct stat*)>("fstat");
  const int result = next(fd, status);
  if (result == 0 && S_ISSOCK(status->st_mode)) call_once(behind_fstat_of_a_socket);
  return result;
}

namespace sluice::test {
namespace {

class ReplacedSocket : public ::testing::Test {
 protected:
  ReplacedSocket() {
    const Descriptor secret(::open(secret_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    EXPECT_TRUE(secret);
  }
  /// As somebody does who may write in the directory.
  void put_a_link_in_its_place() const {
    std::filesystem::rename(path_, moved_);
    std::filesystem::create_symlink(secret_, path_);
  }
  static mode_t mode_of(const std::filesystem::path& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777U : 0;
  }

  TempDirectory directory_;
  const std::filesystem::path path_ = directory_.file("channel");
  const std::filesystem::path moved_ = directory_.file("moved");
  const std::filesystem::path secret_ = directory_.file("secret");
};

TEST_F(ReplacedSocket, BeforeItIsLookedAtIsRefused) {
  behind_bind = [this] { put_a_link_in_its_place(); };
  EXPECT_TRUE(throws(errc::unsafe_place, "was replaced by another file",
                     [this] { const ipc::ListeningSocket listener(path_, ipc::SocketAccess::everybody); }));
  EXPECT_EQ(mode_of(secret_), 0600U);
  EXPECT_EQ(mode_of(moved_), 0600U);
}

TEST_F(ReplacedSocket, BehindTheLookIsTheOneThatIsOpened) {
  behind_fstat_of_a_socket = [this] { put_a_link_in_its_place(); };
  const ipc::ListeningSocket listener(path_, ipc::SocketAccess::everybody);
  EXPECT_EQ(mode_of(secret_), 0600U);
  EXPECT_EQ(mode_of(moved_), 0666U);
}

}  // namespace
}  // namespace sluice::test

#include "between_calls.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/types.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <utility>

namespace {

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): plain functions look at them
std::atomic<std::uint64_t> listed{0};
std::function<bool(const char*)> hidden;
thread_local std::function<void()> to_run;
thread_local std::uint64_t calls_left = 0;
thread_local bool ran = false;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

void count_call() {
  if (!to_run || calls_left-- > 0) return;
  ran = true;
  const int saved = errno;
  std::exchange(to_run, nullptr)();
  errno = saved;
}

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

// Each stands before the C library's function of the same name, and passes on to it.

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the C library's are reserved
extern "C" int openat(int directory, const char* path, int flags, ...) {
  static auto* const next = real<int(int, const char*, int, mode_t)>("openat");
  count_call();
  mode_t mode = 0;
  if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  return next(directory, path, flags, mode);
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the C library's are reserved
extern "C" ssize_t pread(int fd, void* room, std::size_t size, off_t offset) {
  static auto* const next = real<ssize_t(int, void*, std::size_t, off_t)>("pread");
  count_call();
  return next(fd, room, size, offset);
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the C library's are reserved
extern "C" dirent* readdir(DIR* directory) {
  static auto* const next = real<dirent*(DIR*)>("readdir");
  count_call();
  dirent* entry = next(directory);
  while (entry != nullptr && hidden && hidden(static_cast<const char*>(entry->d_name)))
    entry = next(directory);
  if (entry != nullptr) ++listed;
  return entry;
}

namespace sluice::crypto::test {

BetweenCalls::BetweenCalls(std::uint64_t nth, std::function<void()> action) {
  calls_left = nth;
  ran = false;
  to_run = std::move(action);
}
BetweenCalls::~BetweenCalls() {
  to_run = nullptr;
}
bool BetweenCalls::happened() const {
  return ran;
}

std::uint64_t names_listed() {
  return listed;
}

NamesLeftOut::NamesLeftOut(std::function<bool(const char*)> left_out) {
  hidden = std::move(left_out);
}
NamesLeftOut::~NamesLeftOut() {
  hidden = nullptr;
}

}  // namespace sluice::crypto::test

#include "failing_calls.hpp"

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace {

constexpr std::array kNames{
    "accept4", "bind",  "connect", "epoll_create1",  "epoll_ctl",  "eventfd", "fallocate",
    "flock",   "fstat", "fstatat", "getrandom",      "getsockopt", "listen",  "memfd_create",
    "mmap",    "ppoll", "pread",   "pthread_create", "recvmsg",    "sendmsg", "socket"};

std::atomic<const char*> failing{nullptr};
std::atomic<int> calls_left{0};
std::atomic<int> failure{0};
std::atomic<bool> done{false};

/// Whether this call is the one that fails; its errno is then set.
bool fails(const char* name) {
  const char* chosen = failing.load();
  if (chosen == nullptr || std::strcmp(chosen, name) != 0) return false;
  if (calls_left.fetch_sub(1) != 0) return false;
  done = true;
  errno = failure;
  return true;
}

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

// Each stands before the C library's function of the same name, and passes on to it.
#define SLUICE_FAILING(type, name, parameters, arguments)   \
  extern "C" type name parameters {                         \
    static auto* const next = real<type parameters>(#name); \
    if (fails(#name)) return static_cast<type>(-1);         \
    return next arguments;                                  \
  }

SLUICE_FAILING(int, accept4, (int fd, sockaddr* address, socklen_t* size, int flags),
               (fd, address, size, flags))
SLUICE_FAILING(int, bind, (int fd, const sockaddr* address, socklen_t size), (fd, address, size))
SLUICE_FAILING(int, connect, (int fd, const sockaddr* address, socklen_t size), (fd, address, size))
SLUICE_FAILING(int, epoll_create1, (int flags), (flags))
SLUICE_FAILING(int, epoll_ctl, (int epoll, int operation, int fd, epoll_event* event),
               (epoll, operation, fd, event))
SLUICE_FAILING(int, eventfd, (unsigned int value, int flags), (value, flags))
SLUICE_FAILING(int, fallocate, (int fd, int mode, off_t offset, off_t bytes), (fd, mode, offset, bytes))
SLUICE_FAILING(int, flock, (int fd, int operation), (fd, operation))
SLUICE_FAILING(int, fstat, (int fd, struct stat* status), (fd, status))
SLUICE_FAILING(int, fstatat, (int fd, const char* path, struct stat* status, int flags),
               (fd, path, status, flags))
SLUICE_FAILING(ssize_t, getrandom, (void* buffer, size_t bytes, unsigned int flags), (buffer, bytes, flags))
SLUICE_FAILING(int, getsockopt, (int fd, int level, int name, void* value, socklen_t* size),
               (fd, level, name, value, size))
SLUICE_FAILING(int, listen, (int fd, int backlog), (fd, backlog))
SLUICE_FAILING(int, memfd_create, (const char* name, unsigned int flags), (name, flags))
SLUICE_FAILING(int, ppoll, (pollfd * entries, nfds_t count, const timespec* timeout, const sigset_t* mask),
               (entries, count, timeout, mask))
SLUICE_FAILING(ssize_t, pread, (int fd, void* buffer, size_t bytes, off_t offset),
               (fd, buffer, bytes, offset))
SLUICE_FAILING(ssize_t, recvmsg, (int fd, msghdr* message, int flags), (fd, message, flags))
SLUICE_FAILING(ssize_t, sendmsg, (int fd, const msghdr* message, int flags), (fd, message, flags))
SLUICE_FAILING(int, socket, (int domain, int type, int protocol), (domain, type, protocol))

extern "C" void* mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  static auto* const next = real<void*(void*, size_t, int, int, int, off_t)>("mmap");
  if (fails("mmap")) return MAP_FAILED;
  return next(address, bytes, protection, flags, fd, offset);
}

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*main)(void*),
                              void* argument) {
  static auto* const next =
      real<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>("pthread_create");
  if (fails("pthread_create")) return failure;
  return next(thread, attributes, main, argument);
}

namespace sluice::test {

FailingCall::FailingCall(const std::string& name, int nth, int code) {
  done = false;
  calls_left = nth;
  failure = code;
  for (const char* known : kNames) {
    if (name == known) failing = known;
  }
}

FailingCall::~FailingCall() {
  failing = nullptr;
}

bool FailingCall::happened() const {
  return done;
}

std::vector<std::string> failing_call_names() {
  return {kNames.begin(), kNames.end()};
}

}  // namespace sluice::test

#include "failing_system_call.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

namespace sluice::test {
namespace {

/// Which calls can fail how. Left out: those that can't, memory for malloc (see counts()), closing, and
/// getrandom, without which libsodium ends the program.
const std::map<int, std::set<long>> kCalls = {
    {EINTR,
     {SYS_accept4, SYS_connect, SYS_epoll_pwait, SYS_fallocate, SYS_flock, SYS_fsync, SYS_ftruncate,
      SYS_futex, SYS_openat, SYS_ppoll, SYS_pread64, SYS_pwrite64, SYS_read, SYS_recvmsg, SYS_sendmsg,
      SYS_write}},
    {EAGAIN,
     {SYS_accept4, SYS_clone, SYS_clone3, SYS_connect, SYS_fcntl, SYS_flock, SYS_recvmsg, SYS_sendmsg}},
    {EMFILE,
     {SYS_accept4, SYS_epoll_create1, SYS_eventfd2, SYS_fcntl, SYS_memfd_create, SYS_openat, SYS_pidfd_open,
      SYS_socket, SYS_timerfd_create}},
    {ENOMEM,
     {SYS_accept4, SYS_epoll_create1, SYS_epoll_ctl, SYS_eventfd2, SYS_fallocate, SYS_ftruncate,
      SYS_memfd_create, SYS_mmap, SYS_openat, SYS_pidfd_open, SYS_recvmsg, SYS_sendmsg, SYS_socket}},
    {ENOSPC,
     {SYS_epoll_ctl, SYS_fallocate, SYS_fsync, SYS_ftruncate, SYS_linkat, SYS_mkdirat, SYS_openat,
      SYS_pwrite64, SYS_renameat, SYS_renameat2, SYS_write}},
    {EIO,
     {SYS_fallocate, SYS_fstat, SYS_fsync, SYS_ftruncate, SYS_getdents64, SYS_linkat, SYS_newfstatat,
      SYS_openat, SYS_pread64, SYS_pwrite64, SYS_read, SYS_renameat, SYS_renameat2, SYS_statx, SYS_unlinkat,
      SYS_write}},
    {EPERM,
     {SYS_bind, SYS_fchmod, SYS_fcntl, SYS_getsockopt, SYS_listen, SYS_membarrier, SYS_pidfd_open,
      SYS_setsockopt, SYS_shutdown}},
};

/// The older calls that x86 still has for some of these.
long modern_name_of(long call) {
#if defined(__x86_64__)
  static const std::map<long, long> names = {
      {SYS_open, SYS_openat},     {SYS_poll, SYS_ppoll},       {SYS_epoll_wait, SYS_epoll_pwait},
      {SYS_rename, SYS_renameat}, {SYS_unlink, SYS_unlinkat},  {SYS_mkdir, SYS_mkdirat},
      {SYS_link, SYS_linkat},     {SYS_stat, SYS_newfstatat},  {SYS_lstat, SYS_newfstatat},
      {SYS_sendto, SYS_sendmsg},  {SYS_recvfrom, SYS_recvmsg}, {SYS_accept, SYS_accept4},
      {SYS_chmod, SYS_fchmod},    {SYS_fdatasync, SYS_fsync},  {SYS_writev, SYS_write},
      {SYS_readv, SYS_read},      {SYS_rmdir, SYS_unlinkat},   {SYS_fchmodat, SYS_fchmod}};
  const auto name = names.find(call);
  return name == names.end() ? call : name->second;
#else
  return call;
#endif
}

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::system_category(), what);
}

/// Follows one process and its threads. Only its own children: nobody else's may be reaped here.
class Tracer {
 public:
  Tracer(pid_t child, std::uint64_t nth, int code) : child_(child), left_(nth), code_(code) {}

  FailedRun follow() {
    for (;;) {
      int status = 0;
      const pid_t thread = ::waitpid(-1, &status, __WALL);
      if (thread < 0 && errno == EINTR) continue;
      if (thread < 0) fail("waitpid");
      if (!WIFSTOPPED(status)) {
        if (thread != child_) continue;
        run_.status = status;
        return run_;
      }
      go_on(thread, stopped(thread, status));
    }
  }

 private:
  /// The signal to go on with.
  int stopped(pid_t thread, int status) {
    const int signal = WSTOPSIG(status);
    if (signal == (SIGTRAP | 0x80)) {
      at_system_call(thread);
      return 0;
    }
    if (status >> 16U != 0) return 0;  // an event of ptrace's
    if (signal != SIGSTOP) return signal == SIGTRAP ? 0 : signal;
    if (thread == child_) {
      if (!set_up_) set_up();
      counting_ = !counting_;
    }
    return 0;  // so begins each new thread
  }

  void set_up() {
    const std::uintptr_t options =
        PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (::ptrace(PTRACE_SETOPTIONS, child_, nullptr, options) != 0) fail("PTRACE_SETOPTIONS");
    set_up_ = true;
  }

  void at_system_call(pid_t thread) {
    if (failed_ == thread) {
      set_result(thread, -code_);
      failed_ = 0;
      return;
    }
    if (!counting_ || run_.happened) return;
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0) return;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !counts(info) || left_-- != 0) return;
    run_.happened = true;
    run_.call = static_cast<long>(info.entry.nr);
    leave_out_call(thread);
    failed_ = thread;
  }

  bool counts(const __ptrace_syscall_info& info) const {
    const long call = modern_name_of(static_cast<long>(info.entry.nr));
    // malloc's memory: what that may break is not ours.
    if (call == SYS_mmap && (info.entry.args[3] & MAP_ANONYMOUS) != 0) return false;
    if (call == SYS_fcntl && code_ == EMFILE && info.entry.args[1] != F_DUPFD_CLOEXEC) return false;
    if (call == SYS_fcntl && code_ != EMFILE && info.entry.args[1] == F_DUPFD_CLOEXEC) return false;
    if (call == SYS_write && (info.entry.args[0] == STDERR_FILENO || is_eventfd(info.entry.args[0])))
      return false;
    if (call == SYS_futex && !is_futex_wait(info.entry.args[1])) return false;
    return kCalls.at(code_).contains(call);
  }

  /// Nothing else of a futex may fail: the C library's own locks end the program then.
  static bool is_futex_wait(std::uint64_t operation) {
    const auto command = static_cast<int>(operation) & FUTEX_CMD_MASK;
    return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;
  }

  /// Writing to one can't fail, but for a full counter.
  bool is_eventfd(std::uint64_t fd) const {
    const auto link = "/proc/" + std::to_string(child_) + "/fd/" + std::to_string(fd);
    std::array<char, 64> name{};
    return ::readlink(link.c_str(), name.data(), name.size() - 1) > 0 &&
           std::string_view(name.data()) == "anon_inode:[eventfd]";
  }

  static void leave_out_call(pid_t thread) {
#if defined(__x86_64__)
    if (::ptrace(PTRACE_POKEUSER, thread, offsetof(user, regs.orig_rax), -1L) != 0) fail("PTRACE_POKEUSER");
#else
    int none = -1;
    iovec number{&none, sizeof none};
    constexpr int kArmSystemCall = 0x404;  // NT_ARM_SYSTEM_CALL
    if (::ptrace(PTRACE_SETREGSET, thread, kArmSystemCall, &number) != 0) fail("PTRACE_SETREGSET");
#endif
  }

  static void set_result(pid_t thread, long result) {
#if defined(__x86_64__)
    if (::ptrace(PTRACE_POKEUSER, thread, offsetof(user, regs.rax), result) != 0) fail("PTRACE_POKEUSER");
#else
    user_regs_struct registers{};
    iovec all{&registers, sizeof registers};
    constexpr int kGeneralRegisters = 1;  // NT_PRSTATUS
    if (::ptrace(PTRACE_GETREGSET, thread, kGeneralRegisters, &all) != 0) fail("PTRACE_GETREGSET");
    registers.regs[0] = static_cast<std::uint64_t>(result);
    if (::ptrace(PTRACE_SETREGSET, thread, kGeneralRegisters, &all) != 0) fail("PTRACE_SETREGSET");
#endif
  }

  void go_on(pid_t thread, int signal) const {
    const auto request = run_.happened && failed_ == 0 ? PTRACE_CONT : PTRACE_SYSCALL;
    ::ptrace(request, thread, nullptr, static_cast<std::intptr_t>(signal));  // ESRCH: it was killed meanwhile
  }

  pid_t child_;
  std::uint64_t left_;
  int code_;
  bool set_up_ = false;
  bool counting_ = false;
  pid_t failed_ = 0;  // the thread whose call is being left out
  FailedRun run_;
};

pid_t traced = 0;

/// The tracer's own process: it has no other children.
FailedRun trace(const std::function<int()>& body, std::uint64_t nth, int code, std::chrono::seconds time) {
  traced = ::fork();
  if (traced < 0) fail("fork");
  if (traced == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(99);
    ::_exit(body());
  }
  ::signal(SIGALRM, [](int) { ::kill(traced, SIGKILL); });
  ::alarm(static_cast<unsigned>(time.count()));
  FailedRun run = Tracer(traced, nth, code).follow();
  run.hung = ::alarm(0) == 0;
  return run;
}

/// What the tracer tells of a run.
struct Told {
  bool happened;
  bool hung;
  long call;
  int status;
};

}  // namespace

void begin_failing() {
  std::raise(SIGSTOP);
}

void end_failing() {
  std::raise(SIGSTOP);
}

FailedRun run_with_failing_call(const std::function<int()>& body, std::uint64_t nth, int code,
                                std::chrono::seconds time) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe2");
  std::fflush(nullptr);
  const pid_t tracer = ::fork();
  if (tracer < 0) fail("fork");
  if (tracer == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const FailedRun run = trace(body, nth, code, time);
    const Told told{run.happened, run.hung, run.call, run.status};
    ::_exit(::write(ends[1], &told, sizeof told) == sizeof told ? 0 : 1);
  }
  ::close(ends[1]);
  Told told{};
  const bool complete = ::read(ends[0], &told, sizeof told) == sizeof told;
  ::close(ends[0]);
  while (::waitpid(tracer, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (!complete) throw std::runtime_error("the tracer ended without a word");
  return {told.happened, told.hung, told.call, told.status};
}

std::string FailedRun::text() const {
  std::string words = "system call " + std::to_string(call) + (happened ? " failed" : " didn't fail") + "; ";
  if (hung) return words + "the process hung";
  return words + (WIFEXITED(status) ? "exit code " + std::to_string(WEXITSTATUS(status))
                                    : "signal " + std::to_string(WTERMSIG(status)));
}

}  // namespace sluice::test

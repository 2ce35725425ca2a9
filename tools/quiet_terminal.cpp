#include "quiet_terminal.hpp"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <system_error>

namespace sluice::tools {
namespace {

constexpr std::size_t kMaxPassphraseBytes = 1024;
constexpr std::array kSignals{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};

// What the handler needs. Written before the handlers are installed, and not while they are.
struct {
  int fd = -1;
  termios usual{};
  termios quiet{};
} terminal;

// Only async-signal-safe calls.
extern "C" void show_typing_and_obey(int signal) {
  const int saved = errno;
  // In the background the terminal is somebody else's, and has been given back before.
  if (::tcgetpgrp(terminal.fd) == ::getpgrp()) ::tcsetattr(terminal.fd, TCSAFLUSH, &terminal.usual);
  struct sigaction ours {};
  struct sigaction usual {};
  usual.sa_handler = SIG_DFL;
  ::sigaction(signal, &usual, &ours);
  ::raise(signal);  // ends the process, or returns when it is continued: SA_NODEFER
  ::sigaction(signal, &ours, nullptr);
  ::tcsetattr(terminal.fd, TCSAFLUSH, &terminal.quiet);
  errno = saved;
}

// A signal that was ignored before stays ignored.
void change_handlers(void (*from)(int), void (*to)(int)) {
  for (const int signal : kSignals) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler != from) continue;
    action.sa_handler = to;
    action.sa_flags = static_cast<int>(SA_NODEFER | SA_RESTART);
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace

// One byte at a time: what follows in a pipe belongs to somebody else.
std::string read_passphrase(int fd, const std::string& name) {
  std::string line;
  line.reserve(kMaxPassphraseBytes);  // no growing: it would leave copies behind
  char next = 0;
  for (;;) {
    const ssize_t count = ::read(fd, &next, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw std::system_error(errno, std::system_category(), "read " + name);
    if (count == 0 || next == '\n') return line;
    if (line.size() == kMaxPassphraseBytes)
      throw std::runtime_error(name + ": passphrase longer than 1024 bytes");
    line += next;
  }
}

QuietTerminal::QuietTerminal() : fd_(::open("/dev/tty", O_RDWR | O_CLOEXEC)) {
  if (!fd_ || ::tcgetattr(fd_.get(), &terminal.usual) != 0)
    throw std::runtime_error("no terminal to ask for the passphrase; use --passphrase-file");
  terminal.fd = fd_.get();
  terminal.quiet = terminal.usual;
  terminal.quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  change_handlers(SIG_DFL, show_typing_and_obey);
  ::tcsetattr(fd_.get(), TCSAFLUSH, &terminal.quiet);
}

QuietTerminal::~QuietTerminal() {
  ::tcsetattr(fd_.get(), TCSAFLUSH, &terminal.usual);
  change_handlers(show_typing_and_obey, SIG_DFL);
}

std::string QuietTerminal::ask(const std::string& question) {
  say(question + ": ");
  auto line = read_passphrase(fd_.get(), "the terminal");
  say("\n");
  return line;
}

void QuietTerminal::say(const std::string& text) {
  if (::write(fd_.get(), text.data(), text.size()) < 0)
    throw std::runtime_error("the terminal can't be written");
}

}  // namespace sluice::tools

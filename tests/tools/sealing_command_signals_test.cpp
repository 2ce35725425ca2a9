// The sluice command's sealing subcommands, ended and stopped by signals.
#include <sys/ioctl.h>
#include <termios.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "command.hpp"
#include "nameless_files.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

class CommandSignals : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(output_directory());
    for (const auto* key : {"key", "other"}) {
      ASSERT_TRUE(run({"keygen", directory_.file(key)}).wait().ok());
    }
  }

  Command run(std::vector<std::string> words, const Descriptor& input = {},
              const std::function<void()>& before_exec = {}) const {
    words.insert(words.begin(), "sluice");
    return {directory_, std::move(words), input, {}, before_exec};
  }
  std::string key(const std::string& name = "key") const { return directory_.file(name); }
  /// A directory for outputs alone, where leftovers can be seen.
  std::filesystem::path output_directory() const { return directory_.file("out"); }
  std::string output() const { return output_directory() / "file"; }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(output_directory()))
      found.push_back(entry.path().filename());
    return found;
  }

  /// Sends the signal when the command has taken the input and wants more.
  void interrupt_while_it_reads(const std::vector<std::string>& words, const std::string& input, int number,
                                const std::function<void()>& before_exec) const {
    Pipe in;
    Command command = run(words, in.read, before_exec);
    ASSERT_EQ(::write(in.write.get(), input.data(), input.size()), static_cast<ssize_t>(input.size()));
    ASSERT_TRUE(comes_true([&] {
      int waiting = -1;
      return ::ioctl(in.read.get(), FIONREAD, &waiting) == 0 && waiting == 0 && is_asleep(command.pid());
    }));
    command.signal(number);
    EXPECT_EQ(command.wait().signal, number);
    EXPECT_EQ(names(), std::vector<std::string>{}) << words.front();
  }

  TempDirectory directory_;
  Watchdog watchdog_{std::chrono::seconds(150), "a command"};
};

TEST_F(CommandSignals, LeaveNothingOfAFileThatIsSealedOrOpened) {
  const std::string plain(60'000, 'x');  // fits in a pipe
  write_file(directory_.file("plain"), plain + plain);
  ASSERT_TRUE(
      run({"seal", "--key-file", key(), directory_.file("plain"), directory_.file("sealed")}).wait().ok());
  const std::string sealed = read_file(directory_.file("sealed")).substr(0, plain.size());
  const std::vector<std::function<void()>> file_systems{[] {}, refuse_nameless_files};
  for (const auto& file_system : file_systems) {
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
      interrupt_while_it_reads({"seal", "--key-file", key(), "-", output()}, plain, number, file_system);
      interrupt_while_it_reads({"open", "--key-file", key(), "-", output()}, sealed, number, file_system);
    }
  }
}

TEST_F(CommandSignals, LeaveTheOldFileAloneWhereItIsRekeyed) {
  write_file(directory_.file("plain"), std::string(8'000'000, 'x'));
  ASSERT_TRUE(run({"seal", "--key-file", key(), directory_.file("plain"), output()}).wait().ok());
  // It may be done before the signal comes; then it is tried again.
  std::string from = "key";
  std::string to = "other";
  for (;;) {
    Command command =
        run({"rekey", "--from", key(from), "--to", key(to), output()}, {}, refuse_nameless_files);
    ASSERT_TRUE(comes_true([&] { return names().size() == 2 || command.ended_within({}); }));
    command.signal(SIGTERM);
    const ExitStatus status = command.wait();
    EXPECT_EQ(names(), std::vector<std::string>{"file"});
    if (!status.ok()) {
      EXPECT_EQ(status.signal, SIGTERM);
      break;
    }
    std::swap(from, to);
  }
  EXPECT_TRUE(run({"open", "--key-file", key(from), output(), directory_.file("opened")}).wait().ok());
}

// ---- at the prompt for a passphrase ----

/// A pseudo terminal that the calling process leads a session on.
class Terminal {
 public:
  Terminal() : keyboard_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    std::array<char, 100> name{};
    if (!keyboard_ || ::grantpt(keyboard_.get()) != 0 || ::unlockpt(keyboard_.get()) != 0 ||
        ::ptsname_r(keyboard_.get(), name.data(), name.size()) != 0 || ::setsid() < 0) {
      throw std::system_error(errno, std::system_category(), "a pseudo terminal");
    }
    screen_ = open_file(name.data(), O_RDWR);  // and so it becomes the session's
  }

  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() { std::signal(SIGHUP, SIG_IGN); }  // the session's leader is told that the terminal goes

  /// For a new process: a job of its own in the foreground, as a shell starts them.
  void take_foreground() const {
    ::setpgid(0, 0);
    std::signal(SIGTTOU, SIG_IGN);
    ::tcsetpgrp(screen_.get(), ::getpid());
    std::signal(SIGTTOU, SIG_DFL);
  }
  void type(const std::string& keys) const {
    if (::write(keyboard_.get(), keys.data(), keys.size()) < 0)
      throw std::system_error(errno, std::system_category(), "typing");
  }
  bool shows_what_is_typed() const {
    termios settings{};
    return ::tcgetattr(screen_.get(), &settings) == 0 && (settings.c_lflag & ECHO) != 0;
  }

 private:
  Descriptor keyboard_;
  Descriptor screen_;
};

class PassphrasePrompt : public CommandSignals {
 protected:
  Command keygen(const Terminal& terminal) const {
    return run({"keygen", "--passphrase", "--memory", "8", "--passes", "1", output()}, {},
               [&] { terminal.take_foreground(); });
  }
  /// A process can lead a session only once.
  static void in_a_session(const std::function<void(const Terminal&)>& body) {
    ChildProcess session([&] {
      const Terminal terminal;
      body(terminal);
    });
    const auto status = session.wait_for(kPatience);
    EXPECT_TRUE(status && status->ok());
  }
  static bool is_stopped(const Command& command) {
    const std::string stat = read_file("/proc/" + std::to_string(command.pid()) + "/stat");
    return stat.find(") T ") != std::string::npos;
  }
};

TEST_F(PassphrasePrompt, ShowsWhatIsTypedAgainWhenASignalEndsIt) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    in_a_session([&](const Terminal& terminal) {
      Command command = keygen(terminal);
      ASSERT_TRUE(comes_true([&] { return !terminal.shows_what_is_typed(); }));
      if (number == SIGINT) {
        terminal.type("part\x03");
      } else {
        command.signal(number);
      }
      EXPECT_EQ(command.wait().signal, number);
      EXPECT_TRUE(terminal.shows_what_is_typed()) << number;
    });
  }
}

TEST_F(PassphrasePrompt, ShowsWhatIsTypedWhileItIsStoppedAndGoesOnWithout) {
  in_a_session([&](const Terminal& terminal) {
    Command command = keygen(terminal);
    ASSERT_TRUE(comes_true([&] { return !terminal.shows_what_is_typed(); }));
    for (int i = 0; i < 2; ++i) {
      terminal.type("\x1a");
      ASSERT_TRUE(comes_true([&] { return is_stopped(command); }));
      EXPECT_TRUE(terminal.shows_what_is_typed());
      command.signal(SIGCONT);
      ASSERT_TRUE(comes_true([&] { return !terminal.shows_what_is_typed() && is_asleep(command.pid()); }));
    }
    terminal.type("secret\nsecret\n");
    EXPECT_TRUE(command.wait().ok()) << command.errors();
    EXPECT_TRUE(terminal.shows_what_is_typed());
  });
}

}  // namespace
}  // namespace sluice::test

// The progress line, drawn on a terminal of a given width.
#include <pty.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <thread>

#include "transfer_fixture.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

/// The sluice command with a terminal as standard error, and what it draws there.
class OnTerminal {
 public:
  OnTerminal(std::vector<std::string> words, unsigned short columns, const Descriptor& output = {}) {
    winsize size{24, columns, 0, 0};
    int keyboard = -1;
    int screen = -1;
    if (::openpty(&keyboard, &screen, nullptr, nullptr, &size) != 0)
      throw std::system_error(errno, std::system_category(), "openpty");
    terminal_.reset(keyboard);
    const Descriptor shown(screen);
    words.insert(words.begin(), sluice::test::bin_dir() + "/sluice");
    child_ = ::fork();
    if (child_ == 0) {
      const Descriptor nothing = open_file("/dev/null", O_RDWR);
      ::dup2(nothing.get(), STDIN_FILENO);
      ::dup2(output ? output.get() : nothing.get(), STDOUT_FILENO);
      ::dup2(screen, STDERR_FILENO);
      ::close(keyboard);
      std::vector<char*> arguments;
      for (std::string& word : words) arguments.push_back(word.data());
      arguments.push_back(nullptr);
      ::execv(arguments.front(), arguments.data());
      std::_Exit(127);
    }
  }

  /// Waits for its end, and gives what it drew, piece by piece: each begins at the start of a line.
  std::vector<std::string> pieces() {
    std::vector<std::string> drawn(1);
    for (char next = 0; ::read(terminal_.get(), &next, 1) == 1;) {
      if (next == '\r' || next == '\n') {
        if (!drawn.back().empty()) drawn.emplace_back();
      } else {
        drawn.back() += next;
        if (drawn.back().ends_with("\x1b[K")) drawn.back().resize(drawn.back().size() - 3);
      }
    }
    int status = -1;
    ::waitpid(child_, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (drawn.back().empty()) drawn.pop_back();
    return drawn;
  }

 private:
  Descriptor terminal_;
  pid_t child_ = -1;
};

class ProgressLine : public TransferTest {
 protected:
  static constexpr std::size_t kContentBytes = 8U << 20U;

  ProgressLine() { write_file(file("in"), noise(kContentBytes)); }

  /// Takes the bytes slowly enough for a few lines to be drawn.
  static void read_slowly(const Descriptor& pipe) {
    while (read_from(pipe, kContentBytes / 5).size() == kContentBytes / 5) std::this_thread::sleep_for(150ms);
  }
  static bool anything_with(const std::vector<std::string>& drawn, const std::string& words) {
    return std::ranges::any_of(
        drawn, [&](const std::string& piece) { return piece.find(words) != std::string::npos; });
  }
  /// What a sender draws on a terminal of this width.
  std::vector<std::string> drawn_by_sender(unsigned short columns, std::vector<std::string> more = {}) {
    Pipe out;
    Command receiver = recv({"channel"}, out.write);
    out.write.reset();
    std::vector<std::string> words{"send", "channel", file("in")};
    words.insert(words.end(), more.begin(), more.end());
    OnTerminal sender(words, columns);
    read_slowly(out.read);
    EXPECT_TRUE(receiver.succeeds());
    return sender.pieces();
  }
};

TEST_F(ProgressLine, ShowsBytesRatePercentageAndRemainingTime) {
  const std::vector<std::string> drawn = drawn_by_sender(80);
  EXPECT_TRUE(anything_with(drawn, "waiting for a receiver"));
  ASSERT_GE(drawn.size(), 3U);
  const std::string& middle = drawn.at(drawn.size() / 2);
  for (const std::string part : {"MiB  ", "/s  [==", "] ", " %  ", ":", " left"})
    EXPECT_NE(middle.find(part), std::string::npos) << part << " isn't in " << middle;
  EXPECT_NE(drawn.back().find("8.0 MiB"), std::string::npos) << drawn.back();
  EXPECT_NE(drawn.back().find(" s"), std::string::npos) << drawn.back();
}

TEST_F(ProgressLine, FitsTheTerminal) {
  for (const unsigned short columns : std::to_array<unsigned short>({200, 50, 30, 8})) {
    SCOPED_TRACE(columns);
    std::vector<std::string> drawn = drawn_by_sender(columns);
    std::erase_if(drawn, [](const std::string& piece) { return piece.starts_with("sluice: "); });
    ASSERT_GE(drawn.size(), 2U);
    for (const std::string& piece : drawn) EXPECT_LT(piece.size(), columns) << piece;
  }
}

TEST_F(ProgressLine, IsDrawnByAReceiverTooWhichKnowsFromTheSenderHowMuchWillCome) {
  Pipe out;
  OnTerminal receiver({"recv", "channel"}, 80, out.write);
  out.write.reset();
  Command sender = send({"channel", file("in")});
  read_slowly(out.read);
  EXPECT_TRUE(sender.succeeds());
  EXPECT_TRUE(anything_with(receiver.pieces(), " left"));
}

TEST_F(ProgressLine, IsNotDrawnWhenQuiet) {
  const std::vector<std::string> drawn = drawn_by_sender(80, {"--quiet"});
  EXPECT_TRUE(drawn.empty()) << drawn.front();
}

}  // namespace
}  // namespace sluice::test

// sluice send: a file or standard input, through shared memory to sluice recv.
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "commands.hpp"
#include "progress_bar.hpp"
#include "resume_transfer.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "stream_transfer.hpp"
#include "transfer.hpp"

namespace sluice::tools {
namespace {

struct SendArguments {
  ChannelArguments channel;
  std::string file = "-";
  std::uint64_t block_bytes = kDefaultBlockBytes;
  StreamArguments how;
  ResumeArguments resume;
};

/// A file, or standard input for "-".
class Input {
 public:
  explicit Input(const std::string& path) : what_(path == "-" ? "standard input" : path) {
    if (path != "-") {
      file_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
      if (!file_) throw_errno("opening " + what_);
      fd_ = file_.get();
    }
    struct stat info {};
    if (::fstat(fd_, &info) != 0) throw_errno("reading " + what_);
    if (S_ISDIR(info.st_mode)) throw_errno(EISDIR, "reading " + what_);
    if (S_ISREG(info.st_mode)) size_ = static_cast<std::uint64_t>(info.st_size);
  }

  /// Bytes to come, where that is known.
  std::optional<std::uint64_t> size() const { return size_; }

  int fd() const { return fd_; }

  /// Reads what is there, up to room.size() bytes; 0 at the end. Nothing if `stop` becomes readable while
  /// there is nothing to read.
  std::optional<std::size_t> read_unless(int stop, std::span<std::byte> room) const {
    for (;;) {
      std::array<pollfd, 2> entries{{{fd_, POLLIN, 0}, {stop, POLLIN, 0}}};
      if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR)
        throw_errno("waiting for " + what_);
      if (entries[1].revents != 0) return std::nullopt;
      if (entries[0].revents == 0) continue;
      const ssize_t count = ::read(fd_, room.data(), room.size());
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno != EINTR && errno != EAGAIN) throw_errno("reading " + what_);
    }
  }

 private:
  std::string what_;
  Descriptor file_;
  int fd_ = STDIN_FILENO;
  std::optional<std::uint64_t> size_;
};

/// A descriptor that becomes readable when the port has ended, so that a sender that waits for its input
/// notices. Starts the port's delivery; what a receiver posts is ignored.
class EndOfPort {
 public:
  explicit EndOfPort(Port& port)
      : event_(std::make_shared<Descriptor>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) {
    if (!*event_) throw_errno("eventfd for the end of a port");
    port.on_message([](std::span<const std::byte>) {});
    port.on_close([event = event_](Status) {
      const std::uint64_t one = 1;
      // It can't fail: the counter is 0.
      [[maybe_unused]] const ssize_t written = ::write(event->get(), &one, sizeof one);
    });
    port.start();
  }

  int fd() const { return event_->get(); }

 private:
  std::shared_ptr<Descriptor> event_;  // shared with the handler
};

Port connect_to_receiver(const SendArguments& arguments) {
  ConnectOptions options;
  options.port.ring_bytes = ring_bytes_for_blocks_of(arguments.block_bytes);
  options.port.replay_window_bytes = 0;
  const Deadline deadline = deadline_in(arguments.channel.timeout());
  announce(fmt::format("waiting for a receiver at \"{}\"", arguments.channel.name));
  for (;;) {
    options.timeout = deadline == kNoDeadline ? std::chrono::nanoseconds::max()
                                              : deadline - std::chrono::steady_clock::now();
    try {
      return connect(arguments.channel.name, options);
    } catch (const error& failure) {
      // A receiver takes one sender and leaves: whoever queued behind it waits for the next receiver.
      if (failure.code() != connect_errc::peer_gone || std::chrono::steady_clock::now() >= deadline) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
}

void run_send(const SendArguments& arguments) {
  if (arguments.resume.resume) {
    send_resumable(arguments.channel, arguments.resume, arguments.file, arguments.block_bytes);
    return;
  }
  if (arguments.how.stdio && (arguments.file == "-" || arguments.file.empty()))
    throw std::runtime_error("--stdio needs a FILE: standard input is where the receiver answers");
  const Input input(arguments.file);
  if (arguments.how.chosen()) {
    send_stream(arguments.how.stdio ? stdio_port() : AnyPort(connect_to_receiver(arguments)), input.fd(),
                arguments.how, arguments.block_bytes, input.size());
    return;
  }
  Port port = connect_to_receiver(arguments);
  const EndOfPort end_of_port(port);
  ProgressBar bar(input.size());
  std::uint64_t sent = 0;
  const auto must_be_ok = [&](Status status) {
    if (status != Status::ok) throw_ended_early(port, status, "receiver", fmt::format("{} bytes sent", sent));
  };

  for (;;) {
    Claim claim = port.claim(arguments.block_bytes);
    must_be_ok(claim.status());
    const std::optional<std::size_t> count = input.read_unless(end_of_port.fd(), claim.bytes());
    if (!count) {
      claim.abort();
      must_be_ok(port.claim(0).status());
      continue;
    }
    // Nothing read: the empty message is the end mark.
    must_be_ok(claim.commit(*count));
    if (*count == 0) break;
    sent += *count;
    bar.show(sent);
  }
  must_be_ok(port.wait_until_consumed());
  bar.finish(sent);
}

}  // namespace

void add_send(CLI::App& app) {
  auto arguments = std::make_shared<SendArguments>();
  auto* command = app.add_subcommand(
      "send", "Stream a file through shared memory to sluice recv; exit 0 only when all of it was consumed");
  arguments->channel.add_to(*command, "receiver");
  command->add_option("FILE", arguments->file, "What to send; - or nothing: standard input");
  command
      ->add_option("--block", arguments->block_bytes, "Largest message; 64 KiB by default, 256 MiB at most")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{1}, kMaxBlockBytes));
  arguments->how.add_to(*command);
  arguments->resume.add_to(*command, "receiver", {"--stream", "--stdio"});
  command->callback([arguments] {
    // With --stdio the only word is FILE.
    if (arguments->how.stdio && arguments->file == "-") arguments->file.swap(arguments->channel.name);
    arguments->how.check(arguments->how.stdio && arguments->channel.name == "-" ? ""
                                                                                : arguments->channel.name);
    run_send(*arguments);
  });
}

}  // namespace sluice::tools

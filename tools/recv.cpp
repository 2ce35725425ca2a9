// sluice recv: what sluice send sends, to a file or standard output.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "commands.hpp"
#include "output_file.hpp"
#include "progress_bar.hpp"
#include "remove_on_signal.hpp"
#include "resume_transfer.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "stream_transfer.hpp"
#include "transfer.hpp"

namespace sluice::tools {
namespace {

/// Nothing is sent back; the ring must exist all the same.
constexpr std::uint64_t kOwnRingBytes = 64ULL << 10U;

struct ReceiveArguments {
  ChannelArguments channel;
  std::string output = "-";
  StreamArguments how;
  ResumeArguments resume;
};

/// A file that appears when complete, or standard output for "-".
class Output {
 public:
  explicit Output(const std::string& path) {
    if (path != "-") file_.emplace(path);
  }

  void write(std::span<const std::byte> bytes) {
    if (file_) {
      file_->write(bytes);
    } else {
      write_fully(STDOUT_FILENO, bytes, "standard output");
    }
  }

  void commit() {
    if (file_) file_->commit();
  }

 private:
  std::optional<OutputFile> file_;
};

Port accept_sender(const ChannelArguments& channel) {
  ListenOptions options;
  options.port.ring_bytes = kOwnRingBytes;
  options.port.replay_window_bytes = 0;
  std::string last_refusal;
  options.on_refused = [&](const std::string& reason) {
    last_refusal = "; refused a client: " + reason;
    announce("refused a client: " + reason);
  };
  // The listener, and the name with it, goes when the one sender has come.
  Listener listener = listen(channel.name, options);
  const RemoveOnSignal remove_socket(listener.path());
  announce(fmt::format("waiting for a sender at \"{}\"", channel.name));
  std::optional<Port> port = listener.accept_for(channel.timeout());
  if (!port) {
    throw std::runtime_error(fmt::format("no sender came to \"{}\" within {} s{}", channel.name,
                                         *channel.timeout_seconds, last_refusal));
  }
  return std::move(*port);
}

void run_receive(const ReceiveArguments& arguments) {
  if (arguments.resume.resume) {
    receive_resumable(arguments.channel, arguments.resume, arguments.output);
    return;
  }
  if (arguments.how.stdio && arguments.output == "-")
    throw std::runtime_error("--stdio needs --output FILE: standard output is where the sender is answered");
  Output output(arguments.output);
  if (arguments.how.chosen()) {
    receive_stream(
        arguments.how.stdio ? stdio_port() : AnyPort(accept_sender(arguments.channel)),
        [&](std::span<const std::byte> block) { output.write(block); }, [&] { output.commit(); });
    return;
  }
  Port port = accept_sender(arguments.channel);
  ProgressBar bar(std::nullopt);
  std::uint64_t written = 0;
  for (;;) {
    // Released by the next receive: not before it has been written.
    const Message message = port.receive();
    if (!message) {
      throw_ended_early(port, message.status(), "sender", fmt::format("{} bytes received", written));
    }
    if (message.bytes().empty()) {
      output.commit();
      bar.finish(written);
      return;
    }
    output.write(message.bytes());
    written += message.bytes().size();
    bar.show(written);
  }
}

}  // namespace

void add_recv(CLI::App& app) {
  auto arguments = std::make_shared<ReceiveArguments>();
  auto* command =
      app.add_subcommand("recv", "Take what sluice send streams; exit 0 only when it was complete");
  arguments->channel.add_to(*command, "sender");
  command
      ->add_option(
          "--output", arguments->output,
          "A file that appears, or is replaced, only when complete and synced; - or nothing: standard output")
      ->type_name("FILE");
  arguments->how.add_to(*command);
  arguments->resume.add_to(*command, "sender", {"--stream", "--stdio"});
  command->callback([arguments] {
    arguments->how.check(arguments->channel.name);
    run_receive(*arguments);
  });
}

}  // namespace sluice::tools

// sluice recv: what sluice send sends, to a file or standard output.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "commands.hpp"
#include "console.hpp"
#include "options.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "remove_on_signal.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "transfer.hpp"
#include "transfer_messages.hpp"

namespace sluice::tools {
namespace {

/// Nothing is sent back; the ring must exist all the same.
constexpr std::uint64_t kOwnRingBytes = 64ULL << 10U;

Port accept_sender(const TransferArguments& arguments) {
  ListenOptions options;
  options.port.ring_bytes = kOwnRingBytes;
  options.port.replay_window_bytes = 0;
  if (!arguments.users.empty()) {
    options.allowed_users = arguments.users;
    options.allowed_users.push_back(::geteuid());
  }
  std::string last_refusal;
  options.on_refused = [&](const std::string& reason) {
    last_refusal = "; refused a client: " + reason;
    announce("refused a client: " + reason);
  };
  // The listener, and the name with it, goes when the one sender has come.
  Listener listener = listen(arguments.name, options);
  const RemoveOnSignal remove_socket(listener.path());
  announce(fmt::format("waiting for a sender at \"{}\"", arguments.name));
  std::optional<Port> port = listener.accept_for(arguments.timeout);
  if (port) return std::move(*port);
  throw std::runtime_error(fmt::format("no sender came to \"{}\" within {}{}", arguments.name,
                                       to_text(arguments.timeout), last_refusal));
}

void receive_plainly(const TransferArguments& arguments, Output& output) {
  Port port = accept_sender(arguments);
  Progress progress;
  std::uint64_t written = 0;
  for (bool started = false;; started = true) {
    // Released by the next receive: not before it has been written.
    const Message message = port.receive();
    if (!message) {
      throw_ended_early(port, message.status(), arguments, "sender",
                        fmt::format("{} bytes received", written));
    }
    if (!started) {
      const std::uint64_t bytes = decode_start(message.bytes()).content_bytes;
      progress.begin(0, bytes == kAllBitsSet ? std::nullopt : std::optional(bytes));
    } else if (message.bytes().empty()) {
      output.commit();
      progress.finish(written);
      return;
    } else {
      output.write(message.bytes());
      written += message.bytes().size();
      progress.show(written);
    }
  }
}

void run_receive(const TransferArguments& arguments) {
  if (arguments.resume) return receive_resumably(arguments);
  if (arguments.stdio && arguments.file == "-")
    throw std::runtime_error("--stdio needs --output FILE: standard output is where the sender is answered");
  Output output(arguments.file, Existing::redirect);
  if (arguments.stdio) {
    receive_stream(stdio_port(), output);
  } else if (arguments.stream) {
    receive_stream(AnyPort(accept_sender(arguments)), output);
  } else {
    receive_plainly(arguments, output);
  }
}

}  // namespace

void add_recv(CLI::App& app) {
  auto arguments = std::make_shared<TransferArguments>();
  auto* command =
      add_command(app, "recv", "Receive what sluice send sends", "sluice recv backup --output copy.img");
  arguments->add_to(*command, "sender");
  command
      ->add_option("-o,--output", arguments->file,
                   "A file that appears, or is replaced, when complete; -: standard output")
      ->type_name("FILE")
      ->group("Content");
  command->callback([arguments] {
    arguments->check();
    run_receive(*arguments);
  });
}

}  // namespace sluice::tools

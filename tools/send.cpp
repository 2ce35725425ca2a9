// sluice send: a file or standard input, through shared memory to sluice recv.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "commands.hpp"
#include "console.hpp"
#include "input.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "sluice/base/detail/event.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "transfer.hpp"
#include "transfer_messages.hpp"

namespace sluice::tools {
namespace {

struct SendArguments : TransferArguments {
  std::uint64_t block_bytes = kDefaultBlockBytes;
};

Port connect_to_receiver(const SendArguments& arguments) {
  ConnectOptions options;
  options.port.ring_bytes = ring_bytes_for_blocks_of(arguments.block_bytes);
  options.port.replay_window_bytes = 0;
  if (!arguments.users.empty()) options.listener_user = arguments.users.front();
  const Deadline deadline = deadline_in(arguments.timeout);
  announce(fmt::format("waiting for a receiver at \"{}\"", arguments.name));
  for (;;) {
    options.timeout = deadline == kNoDeadline ? std::chrono::nanoseconds::max()
                                              : deadline - std::chrono::steady_clock::now();
    try {
      return connect(arguments.name, options);
    } catch (const error& failure) {
      // A receiver takes one sender and leaves: whoever queued behind it waits for the next receiver.
      if (failure.code() != connect_errc::peer_gone || std::chrono::steady_clock::now() >= deadline) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
}

/// Is set when the port has ended, so that a sender that waits for its input notices. Starts the port's
/// delivery; what a receiver posts is ignored.
std::shared_ptr<base::Event> end_of(Port& port) {
  auto end = std::make_shared<base::Event>("the end of a port");
  port.on_message([](std::span<const std::byte>) {});
  port.on_close([end](Status) { end->set(); });
  port.start();
  return end;
}

void send_plainly(const SendArguments& arguments, const Input& input) {
  Port port = connect_to_receiver(arguments);
  const auto end = end_of(port);
  Progress progress(input.size());
  std::uint64_t sent = 0;
  const auto must_be_ok = [&](Status status) {
    if (status != Status::ok)
      throw_ended_early(port, status, arguments, "receiver", fmt::format("{} bytes sent", sent));
  };
  TransferStart start;
  start.content_bytes = input.size().value_or(kAllBitsSet);
  must_be_ok(port.post_message(bytes_of(start)));
  for (;;) {
    Claim claim = port.claim(arguments.block_bytes);
    must_be_ok(claim.status());
    const std::optional<std::size_t> count = input.read_unless(end->fd(), claim.bytes());
    if (!count) {
      claim.abort();
      must_be_ok(port.claim(0).status());
      continue;
    }
    // Nothing read: the empty message is the end mark.
    must_be_ok(claim.commit(*count));
    if (*count == 0) break;
    sent += *count;
    progress.show(sent);
  }
  must_be_ok(port.wait_until_consumed());
  progress.finish(sent);
}

void run_send(const SendArguments& arguments) {
  if (arguments.resume) return send_resumably(arguments, arguments.block_bytes);
  if (arguments.stdio && (arguments.file == "-" || arguments.file.empty()))
    throw std::runtime_error("--stdio needs a FILE: standard input is where the receiver answers");
  const Input input(arguments.file);
  if (arguments.stdio) {
    send_stream(stdio_port(), input, true, arguments.block_bytes);
  } else if (arguments.stream) {
    send_stream(AnyPort(connect_to_receiver(arguments)), input, false, arguments.block_bytes);
  } else {
    send_plainly(arguments, input);
  }
}

}  // namespace

void add_send(CLI::App& app) {
  auto arguments = std::make_shared<SendArguments>();
  auto* command =
      add_command(app, "send", "Send a file through shared memory to sluice recv",
                  "tar -c photos | sluice send backup       # elsewhere: sluice recv backup | tar -x");
  arguments->add_to(*command, "receiver");
  command->add_option("FILE", arguments->file, "What to send; - or nothing: standard input");
  add_size(*command, "-b,--block", arguments->block_bytes, 1, kMaxBlockBytes,
           "Largest message (default 64K, at most 256M)")
      ->group("Content");
  command->callback([arguments] {
    // With --stdio the only word is FILE.
    if (arguments->stdio && arguments->file == "-") arguments->file.swap(arguments->name);
    if (arguments->stdio && arguments->name == "-") arguments->name.clear();
    arguments->check();
    run_send(*arguments);
  });
}

}  // namespace sluice::tools

// sluice send: a file or standard input, as a port stream to sluice recv.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "commands.hpp"
#include "console.hpp"
#include "input.hpp"
#include "json_lines.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "transfer.hpp"
#include "transfer_messages.hpp"

namespace sluice::tools {
namespace {

constexpr std::uint64_t kBlockBytes = 64ULL << 10U;
constexpr std::uint64_t kJsonBytes = 1ULL << 20U;
constexpr std::uint64_t kMaxBlockBytes = 256ULL << 20U;
constexpr std::uint64_t kSmallestRingBytes = 1ULL << 20U;
/// What a receiver has it says at once. Anybody else's listener says nothing.
constexpr auto kGreeting = std::chrono::seconds(30);

struct SendArguments : TransferArguments {
  SendArguments() : TransferArguments("receiver") {}
  std::uint64_t block_bytes = kBlockBytes;
  bool unconfirmed = false;
  BadLines bad_lines = BadLines::fail;
};

Port connect_to_receiver(const SendArguments& arguments, std::chrono::nanoseconds patience) {
  ConnectOptions options;
  options.port.ring_bytes = std::max(kSmallestRingBytes, std::bit_ceil(4 * arguments.block_bytes));
  options.port.replay_window_bytes = 0;
  if (!arguments.users.empty()) options.listener_user = arguments.users.front();
  const Deadline deadline = deadline_in(patience);
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

/// How much will be sent, if that is known.
std::optional<std::uint64_t> content_bytes(const Input& input, const SendArguments& arguments) {
  return arguments.json ? std::nullopt : input.size();
}

/// By which the receiver knows the file again if this sender is killed and run once more.
Sha256Digest identity_of(const Input& input) {
  const struct stat file = input.status();
  if (!S_ISREG(file.st_mode)) return {};
  const std::array<std::uint64_t, 5> facts{file.st_dev, file.st_ino, static_cast<std::uint64_t>(file.st_size),
                                           static_cast<std::uint64_t>(file.st_mtim.tv_sec),
                                           static_cast<std::uint64_t>(file.st_mtim.tv_nsec)};
  Sha256 identity;
  identity.update(std::as_bytes(std::span(facts)));
  return identity.digest();
}

/// Finds out where the receiver goes on: behind what it has, if that is how this content begins.
std::uint64_t agree_with_receiver(Port& port, const Input& input, const SendArguments& arguments) {
  WhatIsThere there;
  {
    const Message greeting = port.receive_for(kGreeting);
    if (!greeting) throw_ended_early(arguments.peer, port, greeting.status());
    there = decoded<WhatIsThere>(greeting.bytes(), arguments.peer);
  }
  TransferStart start;
  start.content_bytes = content_bytes(input, arguments).value_or(kUnknownBytes);
  start.file = identity_of(input);
  if (arguments.resume) {
    Sha256 begins;
    const bool same = begins.update_from(input.fd(), there.bytes, input.name()) == there.bytes &&
                      begins.digest() == there.digest;
    start.offset = same ? there.bytes : 0;
    if (start.offset > 0) note(fmt::format("going on at byte {}", start.offset));
    input.go_to(start.offset);
  }
  const Status status = port.post_message(bytes_of(start));
  if (status != Status::ok) throw_ended_early(arguments.peer, port, status);
  return start.offset;
}

/// To be sent by `stream`.
BlockSource blocks_of(const Input& input, const SendArguments& arguments, PortStream& stream) {
  if (arguments.json) return json_messages(input, arguments.block_bytes, arguments.bad_lines, stream);
  return [&input, &arguments, &stream, block = std::vector<std::byte>(arguments.block_bytes),
          first = input.status()]() mutable -> std::optional<std::span<const std::byte>> {
    std::optional<std::size_t> count;
    while (!count) {
      stream.wait_for_input(input.fd());
      count = input.try_read(block);
    }
    if (*count > 0) return std::span<const std::byte>(block).first(*count);
    if (arguments.resume && !input.is_as(first))
      throw std::runtime_error(input.name() + " was changed while it was sent");
    return std::nullopt;
  };
}

void send_content(AnyPort port, const SendArguments& arguments, const Input& input, std::uint64_t offset,
                  Progress& progress) {
  PortStreamOptions options;
  if (!arguments.stdio) options.ack_timeout = std::chrono::nanoseconds::max();
  auto stream = create_port_stream(std::move(port), options);
  std::uint64_t sent = offset;
  try {
    const auto show = [&](const SendProgress& so_far) { progress.show(offset + so_far.bytes_acknowledged); };
    sent += stream.send(blocks_of(input, arguments, stream), {.on_progress = show}).bytes;
    if (!arguments.unconfirmed) stream.receive([](std::span<const std::byte> /*block*/) {});
  } catch (const StreamError& failure) {
    throw_ended_early(arguments.peer, failure);
  }
  progress.finish(sent);
}

void run_send(const SendArguments& arguments) {
  if (arguments.resume && arguments.file == "-")
    throw std::runtime_error("--resume needs a FILE: standard input can't be read a second time");
  if (arguments.stdio && (arguments.file == "-" || arguments.file.empty()))
    throw std::runtime_error("--stdio needs a FILE: standard input is where the receiver answers");
  const Input input(arguments.file, arguments.resume ? Input::Kind::regular_file : Input::Kind::waited_for);
  Progress progress(content_bytes(input, arguments));
  if (arguments.stdio) return send_content(stdio_port(), arguments, input, 0, progress);
  const auto meet = [&](std::chrono::nanoseconds patience) {
    return connect_to_receiver(arguments, patience);
  };
  transfer_over_memory(arguments, meet, [&](Port& port) {
    const std::uint64_t offset = agree_with_receiver(port, input, arguments);
    progress.begin(offset, content_bytes(input, arguments));
    send_content(AnyPort::borrow(port), arguments, input, offset, progress);
  });
}

}  // namespace

void add_send(CLI::App& app) {
  auto arguments = std::make_shared<SendArguments>();
  auto* command =
      add_command(app, "send", "Send a file through shared memory to sluice recv",
                  "tar -c photos | sluice send backup       # elsewhere: sluice recv backup | tar -x");
  arguments->add_to(*command);
  command->add_option("FILE", arguments->file, "What to send; - or nothing: standard input");
  command
      ->add_flag("--unconfirmed", arguments->unconfirmed,
                 "With --stdio: the receiver doesn't say that all is stored")
      ->needs("--stdio")
      ->group("Kind of transfer");
  add_size(*command, "-b,--block", arguments->block_bytes, 1, kMaxBlockBytes,
           "Largest message (default 64K, with --json 1M, at most 256M)")
      ->group("Content");
  if (kHasJson) {
    const std::map<std::string, BadLines> choices{{"fail", BadLines::fail}, {"skip", BadLines::skip}};
    command
        ->add_option("--bad-lines", arguments->bad_lines,
                     "With --json: fail (default) or skip, for lines that can't be sent")
        ->transform(CLI::CheckedTransformer(choices))
        ->type_name("CHOICE")
        ->needs("--json")
        ->group("Content");
  }
  command->callback([arguments, command] {
    if (arguments->json && command->count("--block") == 0) arguments->block_bytes = kJsonBytes;
    // With --stdio the only word is FILE.
    if (arguments->stdio && arguments->file == "-") arguments->file.swap(arguments->name);
    if (arguments->stdio && arguments->name == "-") arguments->name.clear();
    arguments->check();
    run_send(*arguments);
  });
}

}  // namespace sluice::tools

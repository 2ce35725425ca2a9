// sluice recv: what sluice send sends, to a file or standard output.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "commands.hpp"
#include "console.hpp"
#include "json_lines.hpp"
#include "options.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "remove_on_signal.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "transfer.hpp"
#include "transfer_messages.hpp"

namespace sluice::tools {
namespace {

/// Little is sent back; the ring must exist all the same.
constexpr std::uint64_t kOwnRingBytes = 64ULL << 10U;

struct RecvArguments : TransferArguments {
  RecvArguments() : TransferArguments("sender") {}
};

Port accept_sender(const RecvArguments& arguments, std::chrono::nanoseconds patience) {
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
  std::optional<Port> port = listener.accept_for(patience);
  if (port) return std::move(*port);
  throw std::runtime_error(
      fmt::format("no sender came to \"{}\" within {}{}", arguments.name, to_text(patience), last_refusal));
}

/// A sender that waits for no verdict may have gone already.
void give_verdict(PortStream& stream, const std::exception_ptr& failure) noexcept {
  try {
    stream.send(BlockSource([&]() -> std::optional<std::span<const std::byte>> {
      if (failure) std::rethrow_exception(failure);
      return std::nullopt;
    }));
  } catch (...) {  // our own failure again, or nobody to tell
  }
}

constexpr const char* kAnotherFile = "another file than the one that is waited for";

/// A sender that was killed is run again with the file that it had.
void refuse_other_file(Port& port) {
  auto stream = create_port_stream(AnyPort::borrow(port));
  const auto refusal = std::make_exception_ptr(std::runtime_error(kAnotherFile));
  try {
    stream.receive([&](std::span<const std::byte> /*block*/) { std::rethrow_exception(refusal); });
    give_verdict(stream, refusal);
  } catch (const std::exception&) {
    // It has been told, or is gone.
  }
  throw_stranger(std::string("refused a sender: it has ") + kAnotherFile);
}

/// Tells the sender what there is of an earlier run, and how the content goes on, it is told.
TransferStart agree_with_sender(Port& port, Output& output, const RecvArguments& arguments,
                                std::optional<Sha256Digest>& file) {
  WhatIsThere there;
  PartFile* const part = output.part();
  if (part != nullptr) {
    there.bytes = part->bytes();
    there.digest = part->digest();
  }
  const Status status = port.post_message(bytes_of(there));
  if (status != Status::ok) throw_ended_early(arguments.peer, port, status);
  const Message answer = port.receive();
  if (!answer) throw_ended_early(arguments.peer, port, answer.status());
  const auto start = decoded<TransferStart>(answer.bytes(), arguments.peer);
  if (start.offset != 0 && start.offset != there.bytes) {
    throw std::runtime_error(
        fmt::format("expected the content from byte 0 or {}, got it from {}", there.bytes, start.offset));
  }
  if (file.value_or(start.file) != start.file) refuse_other_file(port);
  file = start.file;
  if (part != nullptr && start.offset == 0) part->begin_anew();
  return start;
}

/// What a terminal shows is neither read by a program nor to be drawn over.
bool shows_json(const RecvArguments& arguments) {
  return arguments.json && arguments.file == "-" && ::isatty(STDOUT_FILENO) == 1;
}

BlockConsumer writer_to(Output& output, const RecvArguments& arguments) {
  if (arguments.json) return json_writer(output, shows_json(arguments));
  return [&output](std::span<const std::byte> block) { output.write(block); };
}

void receive_content(AnyPort port, Output& output, const RecvArguments& arguments, std::uint64_t offset,
                     Progress& progress) {
  const BlockConsumer write = writer_to(output, arguments);
  std::uint64_t written = offset;
  auto stream = create_port_stream(std::move(port));
  try {
    stream.receive([&](std::span<const std::byte> block) {
      write(block);
      written += block.size();
      progress.show(written);
    });
  } catch (const StreamError& failure) {
    throw_ended_early("sender", failure);
  }
  try {
    output.commit();
  } catch (...) {
    give_verdict(stream, std::current_exception());
    throw;
  }
  give_verdict(stream, nullptr);
  progress.finish(written);
}

void run_receive(const RecvArguments& arguments) {
  if (arguments.file == "-" && (arguments.stdio || arguments.resume)) {
    throw std::runtime_error(
        arguments.stdio ? "--stdio needs --output FILE: standard output is where the sender is answered"
                        : "--resume needs --output FILE: standard output can't be written a second time");
  }
  Output output(arguments.file, arguments.resume ? Existing::resume : Existing::redirect, arguments.timeout);
  Progress progress;
  if (shows_json(arguments)) progress.hide();
  if (arguments.stdio) return receive_content(stdio_port(), output, arguments, 0, progress);
  const auto meet = [&](std::chrono::nanoseconds patience) { return accept_sender(arguments, patience); };
  std::optional<Sha256Digest> file;  // of the first sender
  transfer_over_memory(arguments, meet, [&](Port& port) {
    const TransferStart start = agree_with_sender(port, output, arguments, file);
    const bool known = start.content_bytes != kUnknownBytes;
    progress.begin(start.offset, known ? std::optional(start.content_bytes) : std::nullopt);
    receive_content(AnyPort::borrow(port), output, arguments, start.offset, progress);
  });
}

}  // namespace

void add_recv(CLI::App& app) {
  auto arguments = std::make_shared<RecvArguments>();
  auto* command =
      add_command(app, "recv", "Receive what sluice send sends", "sluice recv backup --output copy.img");
  arguments->add_to(*command);
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

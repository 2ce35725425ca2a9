// What sluice send and sluice recv share: their arguments, meeting the other side, and why a transfer ended.
#pragma once

#include <sys/types.h>

#include <CLI/App.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sluice/ipc/port/any_port.hpp"
#include "sluice/ipc/port/port.hpp"
#include "sluice/ipc/stream/stream_error.hpp"

namespace sluice::tools {

/// What both commands are told: where the peer is, and how the content goes there.
struct TransferArguments {
  explicit TransferArguments(std::string role) : peer(std::move(role)) {}

  std::string peer;  // the other side's role: "sender" or "receiver"
  std::string name;
  std::string file = "-";
  std::vector<uid_t> users;  // sender: the receiver's; receiver: who else may send
  std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max();
  bool stdio = false;  // over standard input and output; there is no name
  bool resume = false;
  bool json = false;  // each message is a value, here as a line of JSON
  std::chrono::nanoseconds resume_window = std::chrono::seconds(300);

  /// Adds all but `file` to a command.
  void add_to(CLI::App& command);
  /// Throws CLI::ParseError if the arguments don't go together.
  void check() const;
};

/// Waits this long at most for the other side; throws if it doesn't come.
using Meeting = std::function<Port(std::chrono::nanoseconds patience)>;

/// The one that came isn't the one that is waited for, and has been told so: the waiting goes on.
[[noreturn]] void throw_stranger(const std::string& why);

/// Meets the other side and runs `transfer`; with --resume again, each time that the other side dies. Every
/// other end of the other side is its verdict.
void transfer_over_memory(const TransferArguments& arguments, const Meeting& meet,
                          const std::function<void(Port& port)>& transfer);

/// A port over this process's standard input and output.
AnyPort stdio_port();

/// Throws the sentence for a stream, or a port, that ended before the transfer did.
[[noreturn]] void throw_ended_early(const std::string& peer, const StreamError& failure);
[[noreturn]] void throw_ended_early(const std::string& peer, const Port& port, Status status);

}  // namespace sluice::tools

// A transfer: what sluice send and sluice recv agree on. The receiver listens, the sender connects.
//
// A plain transfer is a run of messages: its start (see transfer_messages.hpp), then messages of 1 byte or
// more, each the next piece of the content, then an empty one as the end mark. The receiver releases a piece
// only when it has been written, and the end mark only when the whole output is complete: what the sender sees
// consumed is safe. A port that ends without the end mark carried an incomplete transfer.
#pragma once

#include <sys/types.h>

#include <CLI/App.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "input.hpp"
#include "output.hpp"
#include "sluice/ipc/connect/session.hpp"
#include "sluice/ipc/port/any_port.hpp"
#include "sluice/ipc/port/port.hpp"

namespace sluice::tools {

inline constexpr std::uint64_t kDefaultBlockBytes = 64ULL << 10U;
inline constexpr std::uint64_t kMaxBlockBytes = 256ULL << 20U;

/// The size of a ring that holds at least four blocks: a power of two from 1 MiB, at most 1 GiB.
std::uint64_t ring_bytes_for_blocks_of(std::uint64_t block_bytes);

/// What both commands are told: where the peer is, and how the content goes there.
struct TransferArguments {
  std::string name;
  std::string file = "-";
  std::vector<uid_t> users;  // sender: the receiver's; receiver: who else may send
  std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max();
  bool stream = false;  // as a port stream over shared memory
  bool stdio = false;   // the same over standard input and output; there is no name
  bool resume = false;
  std::chrono::nanoseconds resume_window = std::chrono::seconds(300);

  /// Adds all but `file` to a command; `peer` is the other side's role: "sender" or "receiver".
  void add_to(CLI::App& command, const std::string& peer);
  /// Throws CLI::ParseError if the arguments don't go together.
  void check() const;
};

// Each of these returns when the receiver has all of it, or throws what the command fails with.

/// As a port stream, in blocks of `block_bytes`. sluice recv confirms what it has stored with an empty stream
/// that comes back, or sends an ERROR that says why not. Over standard input and output the other side may be an
/// endpoint that confirms nothing: there its end, or silence for half a minute, is enough once it has
/// acknowledged every block.
void send_stream(AnyPort port, const Input& input, bool over_stdio, std::uint64_t block_bytes);
void receive_stream(AnyPort port, Output& output);
/// A port over this process's standard input and output.
AnyPort stdio_port();

/// As a regular file that goes on where it was if either side is killed and run again. Only a kill, or a failure
/// of one side's own (a full disk, a wrong option), can be resumed: then the session is left as it is, and the
/// other side waits for the resume window. What ends the session otherwise ends the transfer, and FILE.part goes.
void send_resumably(const TransferArguments& arguments, std::uint64_t block_bytes);
void receive_resumably(const TransferArguments& arguments);

/// Throws the sentence for a port that ended before the transfer did. `peer` is the other side's role,
/// `progress` how far this side came.
[[noreturn]] void throw_ended_early(const Port& port, Status status, const TransferArguments& arguments,
                                    const std::string& peer, const std::string& progress);

// For the sides of a transfer that can be resumed.

/// The options of a session in which `peer` is the other's role; says on standard error when it is gone and
/// when it is back.
SessionOptions session_options(const TransferArguments& arguments, const std::string& peer);

/// For a port, or a message, of a process that is about to end: destroying it would close, or release, what
/// the next one needs. One object of a type.
template <class T>
void never_destroy(T object) {
  static auto* const kept = new T(std::move(object));
  (void)kept;
}

/// Runs `work`. If it throws, the port is left without being closed: to the peer this process has died, and
/// the next one can go on. Work that has closed the port has ended the session.
void run_resumably(Port port, const std::function<void(Port& port)>& work);

}  // namespace sluice::tools

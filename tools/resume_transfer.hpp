// sluice send --resume and sluice recv --resume: a file that goes on where it was when either side is killed
// and run again. The protocol stands in resume_messages.hpp.
//
// Only a kill, or a failure of one side's own (a full disk, a wrong option), can be resumed: then the session
// is left as it is, and the other side waits for the resume window. What ends the session otherwise ends the
// transfer, and FILE.part goes.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sluice/ipc/connect/session.hpp"
#include "transfer.hpp"

namespace sluice::tools {

struct ResumeArguments {
  bool resume = false;
  double window_seconds = 300;

  /// Adds the options; `others` are those that --resume excludes.
  void add_to(CLI::App& command, const std::string& peer, const std::vector<std::string>& others);
};

/// Sends a regular file in blocks of `block_bytes`; returns when the receiver has the complete file.
void send_resumable(const ChannelArguments& channel, const ResumeArguments& resume, const std::string& path,
                    std::uint64_t block_bytes);

/// Receives a file; returns when it is complete, and the sender knows (or doesn't come back to hear of it).
void receive_resumable(const ChannelArguments& channel, const ResumeArguments& resume,
                       const std::string& output);

// For the two sides.

/// The options of a session in which `peer` is the other's role; says on standard error when it is gone and
/// when it is back.
SessionOptions session_options(const ChannelArguments& channel, const ResumeArguments& resume,
                               const std::string& peer);

/// Prints a line on standard error, in place of a progress bar that stands there.
void tell(const std::string& text);

/// Throws the sentence for a session that ended before the transfer did.
[[noreturn]] void throw_session_ended(const Port& port, Status status, const ResumeArguments& resume,
                                      const std::string& peer, const std::string& progress);

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

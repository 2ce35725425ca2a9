#include "resume_transfer.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <stdexcept>
#include <utility>

#include "standard_streams.hpp"

namespace sluice::tools {

void ResumeArguments::add_to(CLI::App& command, const std::string& peer,
                             const std::vector<std::string>& others) {
  auto* flag = command.add_flag(
      "--resume", resume,
      "Survive a kill of either side: run again with the same arguments, it goes on. Both sides need it");
  for (const std::string& other : others) flag->excludes(command.get_option(other));
  command
      .add_option("--resume-window", window_seconds,
                  "How long to wait for a " + peer + " that was killed to be run again (default 300)")
      ->type_name("SECONDS")
      ->check(check_seconds)
      ->needs(flag);
}

SessionOptions session_options(const ChannelArguments& channel, const ResumeArguments& resume,
                               const std::string& peer) {
  SessionOptions options;
  options.timeout = channel.timeout();
  options.resume_window = nanoseconds_of(resume.window_seconds);
  options.on_state = [peer, window = resume.window_seconds](const SessionEvent& event) {
    if (event.state == SessionState::waiting_for_peer)
      tell(fmt::format("the {} is gone; waiting {} s for it to be run again", peer, window));
    if (event.state == SessionState::resumed) tell(fmt::format("resumed with the {}", peer));
  };
  return options;
}

void tell(const std::string& text) {
  // In one piece, since two threads say something.
  const char* const clear_line = ::isatty(STDERR_FILENO) == 1 ? "\r\x1b[K" : "";
  say("{}sluice: {}\n", clear_line, text);
}

void throw_session_ended(const Port& port, Status status, const ResumeArguments& resume,
                         const std::string& peer, const std::string& progress) {
  if (status == Status::peer_died) {
    throw std::runtime_error(fmt::format("the {} died, and nobody ran it again within {} s ({})", peer,
                                         resume.window_seconds, progress));
  }
  if (status == Status::superseded)
    throw std::runtime_error(fmt::format("another process has taken this one's place ({})", progress));
  throw_ended_early(port, status, peer, progress);
}

void run_resumably(Port port, const std::function<void(Port& port)>& work) {
  try {
    work(port);
  } catch (...) {
    never_destroy(std::move(port));
    throw;
  }
  port.close();
}

}  // namespace sluice::tools

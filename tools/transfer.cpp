#include "transfer.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <stdexcept>
#include <utility>

#include "console.hpp"
#include "options.hpp"

namespace sluice::tools {
namespace {

constexpr std::uint64_t kSmallestRingBytes = 1ULL << 20U;

}  // namespace

std::uint64_t ring_bytes_for_blocks_of(std::uint64_t block_bytes) {
  return std::max(kSmallestRingBytes, std::bit_ceil(4 * block_bytes));
}

void TransferArguments::add_to(CLI::App& command, const std::string& peer) {
  command.add_option("NAME", name, "Name of the channel, or the path of its socket; none with --stdio");

  auto* wait = add_time(command, "-t,--timeout", timeout,
                        "How long to wait for the " + peer + " to come (default: for ever)");
  auto* others =
      peer == "sender"
          ? add_users(command, "--allow-user", users, "Another user who may send; may be repeated")
          : add_users(command, "--listener-user", users, "The receiver's user, if it is another one")
                ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  for (auto* option : {wait, others}) option->group("Connection");

  auto* over_memory = command.add_flag("--stream", stream, "As a port stream: acknowledged block by block");
  auto* over_stdio =
      command.add_flag("--stdio", stdio, "The same over standard input and output, to any endpoint");
  auto* resumable =
      command.add_flag("-r,--resume", resume, "Run again after a kill, either side goes on; both need it");
  auto* window = add_time(command, "-w,--resume-window", resume_window,
                          "How long to wait for a killed " + peer + " to be run again (default 5m)");
  over_stdio->excludes(over_memory)->excludes(others);
  resumable->excludes(over_memory)->excludes(over_stdio);
  window->needs(resumable);
  for (auto* option : {over_memory, over_stdio, resumable, window}) option->group("Kind of transfer");
}

void TransferArguments::check() const {
  if (!stdio && name.empty()) throw CLI::RequiredError("NAME");
  if (stdio && !name.empty()) throw CLI::ExcludesError("--stdio", "NAME");
  if (resume && users.size() > 1) throw CLI::ValidationError("--resume", "has one other user at most");
  const bool others = std::any_of(users.begin(), users.end(), [](uid_t user) { return user != ::geteuid(); });
  if (others && name.find('/') == std::string::npos) {
    throw CLI::ValidationError(
        "NAME", "must be a path if another user is to reach it: each user's names are its own");
  }
}

void throw_ended_early(const Port& port, Status status, const TransferArguments& arguments,
                       const std::string& peer, const std::string& progress) {
  std::string way = "the port failed: " + std::string(to_string(status));
  if (status == Status::closed) way = "the " + peer + " gave up before the end";
  if (status == Status::peer_died && !arguments.resume) way = "the " + peer + " died before the end";
  if (status == Status::peer_died && arguments.resume) {
    way =
        fmt::format("the {} died, and nobody ran it again within {}", peer, to_text(arguments.resume_window));
  }
  if (status == Status::superseded) way = "another process has taken this one's place";
  if (status == Status::broken) way = port.failure_text();
  throw std::runtime_error(fmt::format("{} ({})", way, progress));
}

SessionOptions session_options(const TransferArguments& arguments, const std::string& peer) {
  SessionOptions options;
  options.timeout = arguments.timeout;
  options.resume_window = arguments.resume_window;
  if (!arguments.users.empty()) options.peer_user = arguments.users.front();
  options.on_state = [peer, window = to_text(arguments.resume_window)](const SessionEvent& event) {
    if (event.state == SessionState::waiting_for_peer)
      note(fmt::format("the {} is gone; waiting {} for it to be run again", peer, window));
    if (event.state == SessionState::resumed) note(fmt::format("resumed with the {}", peer));
  };
  announce(fmt::format("waiting for a {} at \"{}\"", peer, arguments.name));
  return options;
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

#include "transfer.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <stdexcept>

#include "console.hpp"
#include "json_lines.hpp"
#include "options.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/port/native_port.hpp"

namespace sluice::tools {
namespace {

/// The one end that a transfer can outlive.
class PeerDied : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Stranger : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

Descriptor copy_of(int fd, const char* what) {
  Descriptor copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) throw_errno(what);
  return copy;
}

}  // namespace

void TransferArguments::add_to(CLI::App& command) {
  command.add_option("NAME", name, "Name of the channel, or the path of its socket; none with --stdio");

  auto* wait = add_time(command, "-t,--timeout", timeout,
                        "How long to wait for the " + peer + " to come (default: for ever)");
  auto* others =
      peer == "sender"
          ? add_users(command, "--allow-user", users, "Another user who may send; may be repeated")
          : add_users(command, "--listener-user", users, "The receiver's user, if it is another one")
                ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  for (auto* option : {wait, others}) option->group("Connection");

  auto* over_stdio = command.add_flag("--stdio", stdio, "Over standard input and output, not shared memory");
  auto* resumable = command.add_flag("-r,--resume", resume,
                                     "Go on where an earlier run ended, and wait for a killed " + peer);
  auto* window = add_time(command, "-w,--resume-window", resume_window,
                          "How long to wait for a killed " + peer + " to be run again (default 5m)");
  if (kHasJson) {
    command.add_flag("--json", json, "Lines of JSON at both ends, msgpack messages between")
        ->excludes(resumable)
        ->group("Content");
  }
  command.add_flag("--stream")->group("");  // not in the help: every transfer is a port stream
  over_stdio->excludes(others);
  resumable->excludes(over_stdio);
  window->needs(resumable);
  for (auto* option : {over_stdio, resumable, window}) option->group("Kind of transfer");
}

void TransferArguments::check() const {
  if (!stdio && name.empty()) throw CLI::RequiredError("NAME");
  if (stdio && !name.empty()) throw CLI::ExcludesError("--stdio", "NAME");
  const bool others = std::any_of(users.begin(), users.end(), [](uid_t user) { return user != ::geteuid(); });
  if (others && name.find('/') == std::string::npos) {
    throw CLI::ValidationError(
        "NAME", "must be a path if another user is to reach it: each user's names are its own");
  }
}

void transfer_over_memory(const TransferArguments& arguments, const Meeting& meet,
                          const std::function<void(Port& port)>& transfer) {
  announce(fmt::format("waiting for a {} at \"{}\"", arguments.peer, arguments.name));
  Port port = meet(arguments.timeout);
  for (;;) {
    try {
      return transfer(port);
    } catch (const Stranger& stranger) {
      note(stranger.what());
    } catch (const PeerDied& death) {
      if (!arguments.resume) throw;
      note(fmt::format("the {} is gone; waiting {} for it to be run again", arguments.peer,
                       to_text(arguments.resume_window)));
    }
    const std::string window = to_text(arguments.resume_window);
    try {
      port = meet(arguments.resume_window);
    } catch (const std::exception& failure) {
      throw std::runtime_error(fmt::format("the {} died, and nobody ran it again within {}: {}",
                                           arguments.peer, window, failure.what()));
    }
    note(fmt::format("resumed with the {}", arguments.peer));
  }
}

AnyPort stdio_port() {
  constexpr std::size_t kMostFrameBytes = (256U << 20U) + 64;  // the largest block, with its header
  NativePortOptions options;
  options.max_message_bytes = kMostFrameBytes;
  return AnyPort(wrap_native_port(copy_of(STDIN_FILENO, "standard input"),
                                  copy_of(STDOUT_FILENO, "standard output"), options));
}

void throw_stranger(const std::string& why) {
  throw Stranger(why);
}

void throw_ended_early(const std::string& peer, const StreamError& failure) {
  if (failure.code() == stream_errc::peer_died)
    throw PeerDied(fmt::format("the {} died before the end ({})", peer, failure.what()));
  if (failure.code() == stream_errc::closed)
    throw std::runtime_error(fmt::format("the {} gave up before the end ({})", peer, failure.what()));
  if (failure.code() == stream_errc::rejected || failure.code() == stream_errc::sender_failed)
    throw std::runtime_error(fmt::format("the {} failed: {}", peer, failure.reason()));
  throw std::runtime_error(failure.what());
}

void throw_ended_early(const std::string& peer, const Port& port, Status status) {
  if (status == Status::peer_died) throw PeerDied("the " + peer + " died before anything was sent");
  if (status == Status::closed) throw std::runtime_error("the " + peer + " gave up before anything was sent");
  if (status == Status::timed_out)
    throw std::runtime_error("the " + peer + " says nothing: is it sluice recv?");
  throw std::runtime_error(fmt::format("the port failed: {}", port.failure_text()));
}

}  // namespace sluice::tools

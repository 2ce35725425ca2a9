#include "peer_command.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <stdexcept>

#include "json_text.hpp"
#include "options.hpp"
#include "sluice/base/deadline.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/ipc/connect/endpoint.hpp"

namespace sluice::tools {

void PeerArguments::add_to(CLI::App& command) {
  command.add_option("NAME", name, "Where the other program listens: a name, or a path with a slash")
      ->required();
  command.add_option("ACTOR", actor, "What to talk to there")->required();
  add_time(command, "-t,--timeout", timeout, "How long to wait for it (default: for ever)");
  add_users(command, "--listener-user", users, "The other program's user, if it is another one");
}

codec::Peer connect_peer(const PeerArguments& arguments, const codec::Id& client) {
  ConnectOptions options;
  options.timeout = arguments.timeout;
  if (!arguments.users.empty()) options.listener_user = arguments.users.front();
  codec::PeerOptions peer;
  peer.decode = kJsonLimits;
  peer.client = client;
  return codec::Peer(connect(arguments.name, options), peer);
}

void print_json(const nlohmann::json& value) {
  const std::string line = line_of(value, ::isatty(STDOUT_FILENO) != 0) + "\n";
  base::write_all(STDOUT_FILENO, std::as_bytes(std::span(line)), "standard output");
}

}  // namespace sluice::tools

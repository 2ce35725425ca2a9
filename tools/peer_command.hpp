// What sluice observe and sluice call share: where the other program is, and JSON on standard output.
#pragma once

#include <sys/types.h>

#include <CLI/App.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sluice/codec/peer.hpp"

namespace sluice::tools {

struct PeerArguments {
  std::string name;
  std::string actor;
  std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max();
  std::vector<uid_t> users;  // the listener's

  /// Adds NAME, ACTOR and the options to a command.
  void add_to(CLI::App& command);
};

/// Connects within the timeout. Throws what connect() throws.
codec::Peer connect_peer(const PeerArguments& arguments, const codec::Id& client = {});

/// Writes a line of JSON to standard output at once. Throws if that fails.
void print_json(const nlohmann::json& value);

}  // namespace sluice::tools

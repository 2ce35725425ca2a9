// The subcommands: each function adds one group to the parser and throws what main() prints as one line.
#pragma once

#include <CLI/App.hpp>

namespace sluice::tools {

void add_send(CLI::App& app);
void add_recv(CLI::App& app);

inline void add_commands(CLI::App& app) {
  add_send(app);
  add_recv(app);
}

}  // namespace sluice::tools

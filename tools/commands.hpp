// The subcommands: each function adds one group to the parser and throws what main() prints as one line.
#pragma once

#include <CLI/App.hpp>

namespace sluice::tools {

inline void add_commands(CLI::App& app) {
  (void)app;
}

}  // namespace sluice::tools

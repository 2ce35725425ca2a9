// The subcommands: each function adds one to the parser, and throws what main() prints as one line.
#pragma once

#include <CLI/App.hpp>
#include <string>

namespace sluice::tools {

/// For those functions: a subcommand whose help ends with the example.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& description,
                      const std::string& example);

void add_send(CLI::App& app);
void add_recv(CLI::App& app);
void add_call(CLI::App& app);
void add_observe(CLI::App& app);
void add_keygen(CLI::App& app);
void add_seal(CLI::App& app);
void add_open(CLI::App& app);
void add_inspect(CLI::App& app);
void add_rekey(CLI::App& app);

inline void add_commands(CLI::App& app) {
  add_send(app);
  add_recv(app);
#ifdef SLUICE_HAS_CODEC
  add_call(app);
  add_observe(app);
#endif
#ifdef SLUICE_HAS_CRYPTO
  add_keygen(app);
  add_seal(app);
  add_open(app);
  add_inspect(app);
  add_rekey(app);
#endif
}

}  // namespace sluice::tools

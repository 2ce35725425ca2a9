// The sluice command. Each subcommand lives in a file of its own and adds itself to the parser.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "commands.hpp"

namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

}  // namespace

int main(int argc, char** argv) {
  try {
    CLI::App app{"Channels between two processes on one machine, and data sealed at rest", "sluice"};
    app.require_subcommand(1);
    sluice::tools::add_commands(app);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& parse_error) {
      if (parse_error.get_exit_code() == 0) return app.exit(parse_error);  // --help
      fmt::print(stderr, "sluice: {} (sluice --help says more)\n", parse_error.what());
      return kWrongUsage;
    }
    return 0;
  } catch (const std::exception& failure) {
    fmt::print(stderr, "sluice: {}\n", failure.what());
    return kFailed;
  }
}

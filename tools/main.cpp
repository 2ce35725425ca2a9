// The sluice command. Each subcommand lives in a file of its own and adds itself to the parser.
#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>

#include "commands.hpp"
#include "standard_streams.hpp"

namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

int run(int argc, char** argv) {
  CLI::App app{"Channels between two processes on one machine, and data sealed at rest", "sluice"};
  app.require_subcommand(1);
  sluice::tools::add_commands(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& parse_error) {
    if (parse_error.get_exit_code() == 0) return app.exit(parse_error);  // --help
    sluice::tools::say("sluice: {} (sluice --help says more)\n", parse_error.what());
    return kWrongUsage;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    sluice::tools::take_closed_standard_streams();
    // A reader that goes away: of our output an error with a sentence, of our messages nothing.
    ::signal(SIGPIPE, SIG_IGN);
    const int status = run(argc, argv);
    sluice::tools::flush_standard_output();
    return status;
  } catch (const std::exception& failure) {
    sluice::tools::say("sluice: {}\n", failure.what());
    return kFailed;
  }
}

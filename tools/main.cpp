// The sluice command: reads the command line and runs a subcommand. Each lives in a file of its own.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "commands.hpp"
#include "console.hpp"
#include "exit_code.hpp"
#include "sluice/base/detail/quoted_text.hpp"

namespace sluice::tools {
namespace {

constexpr const char* kConventions =
    "SIZE: bytes, or with a suffix: 64K, 1M, 2G.   TIME: seconds, or with a suffix: 500ms, 2s, 5m, 1h.\n"
    "Exit codes: 0 done, 1 failed (one line on standard error says why), 2 wrong usage.";

/// An option a line: its names and the type of its value, without the notes that the library adds.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    return CLI::detail::find_and_replace(CLI::Formatter::make_help(app, std::move(name), mode), "\n\n\n",
                                         "\n\n");
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0 || option->get_positional()) return {};
    const std::string type_and_checks = option->get_type_name();
    return " " + type_and_checks.substr(0, type_and_checks.find(':'));
  }
};

/// The options that the command and every subcommand have.
void add_general_options(CLI::App& app) {
  auto* quiet = app.add_flag_callback(
      "-q,--quiet", [] { set_verbosity(Verbosity::quiet); }, "Say nothing but errors and warnings");
  auto* verbose = app.add_flag_callback(
      "-v,--verbose", [] { set_verbosity(Verbosity::verbose); },
      "Say more, and show progress without a terminal");
  for (auto* option : {quiet, verbose, app.get_option("--help")}) option->group("General");
  verbose->excludes(quiet);
}

/// No option before the subcommand takes a value, so the first word that is no option must be one.
void check_subcommand(const CLI::App& app, const std::vector<std::string_view>& words) {
  const auto word = std::ranges::find_if(words, [](std::string_view text) { return !text.starts_with('-'); });
  std::vector<std::string> known;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    known.push_back(command->get_name());
  if (word == words.end() || std::ranges::find(known, *word) != known.end()) return;
  throw CLI::ValidationError(
      fmt::format("no subcommand {}; there are {}", base::quoted_text(*word), fmt::join(known, ", ")));
}

int run(int argc, char** argv) {
  CLI::App app{"Channels between two processes on one machine, and data sealed at rest", "sluice"};
  app.formatter(std::make_shared<HelpFormatter>());  // before the subcommands, which inherit it
  app.require_subcommand(1);
  app.set_version_flag("-V,--version", "sluice " SLUICE_VERSION)->group("General");
  app.footer(std::string("sluice SUBCOMMAND --help says more.\n\n") + kConventions);
  add_general_options(app);
  add_commands(app);
  try {
    check_subcommand(app, {argv + std::min(argc, 1), argv + argc});
    app.parse(argc, argv);
    return kDone;
  } catch (const CLI::ParseError& refusal) {
    if (refusal.get_exit_code() == 0) return app.exit(refusal);  // --help, --version
    const auto chosen = app.get_subcommands();
    complain(fmt::format("{} (sluice {}--help says more)", refusal.what(),
                         chosen.empty() ? "" : chosen.front()->get_name() + " "));
    return kWrongUsage;
  }
}

}  // namespace

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& description,
                      const std::string& example) {
  auto* command = app.add_subcommand(name, description);
  command->footer("Example:\n  " + example + "\n\n" + kConventions);
  add_general_options(*command);
  return command;
}

}  // namespace sluice::tools

int main(int argc, char** argv) {
  using namespace sluice::tools;
  try {
    take_closed_standard_streams();
    // A reader that goes away: of our output an error with a sentence, of our messages nothing.
    // A file that may grow no further (ulimit -f) is an error, too.
    for (const int signal : {SIGPIPE, SIGXFSZ}) ::signal(signal, SIG_IGN);
    const int code = run(argc, argv);
    flush_standard_output();
    return code;
  } catch (const std::exception& failure) {
    complain(failure.what());
    return kFailed;
  }
}

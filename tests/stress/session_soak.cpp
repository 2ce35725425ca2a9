// Kills the two processes of a session at random for as long as it is told to: ./run soak
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <random>

#include "random_kills.hpp"

int main(int argument_count, char** arguments) {
  sluice::test::RandomKillsOptions options;
  options.kills = 20'000;
  options.seed = std::random_device{}();
  std::int64_t seconds = options.time / std::chrono::seconds(1);
  CLI::App app("Kills the processes of a session at random, and checks every message.");
  app.add_option("--kills", options.kills, "So many kills")->capture_default_str();
  app.add_option("--seconds", seconds, "No longer than this")->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "Of the random choices");
  CLI11_PARSE(app, argument_count, arguments);
  options.time = std::chrono::seconds(seconds);
  std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  std::fflush(stdout);
  try {
    const sluice::test::RandomKillsReport report = sluice::test::kill_at_random(options);
    std::printf(
        "%llu kills, %llu of them while opening, %llu before the welcome; %llu messages received, each "
        "exactly once "
        "after leaving out %llu that came again as announced\n",
        static_cast<unsigned long long>(report.kills),
        static_cast<unsigned long long>(report.kills_while_opening),
        static_cast<unsigned long long>(report.kills_before_welcome),
        static_cast<unsigned long long>(report.messages),
        static_cast<unsigned long long>(report.redelivered));
    return 0;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "session_soak: %s\n", failure.what());
    return 1;
  }
}

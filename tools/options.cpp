#include "options.hpp"

#include <fmt/core.h>
#include <pwd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <map>

namespace sluice::tools {
namespace {

/// Puts the number of a user in the place of the name. Answers what is wrong, or nothing.
std::string replace_by_number(std::string& user) {
  if (const passwd* known = ::getpwnam(user.c_str())) {
    user = std::to_string(known->pw_uid);
    return {};
  }
  uid_t number = 0;
  const char* const end = user.data() + user.size();
  const auto [rest, failure] = std::from_chars(user.data(), end, number);
  constexpr auto kNobodyAtAll = static_cast<uid_t>(-1);
  if (failure == std::errc{} && rest == end && number != kNobodyAtAll) return {};
  return "expected the name or number of a user, got " + user;
}

}  // namespace

CLI::Option* add_size(CLI::App& command, const std::string& names, std::uint64_t& bytes, std::uint64_t least,
                      std::uint64_t most, const std::string& description) {
  return command.add_option(names, bytes, description)
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(least, most))
      ->type_name("SIZE");
}

CLI::Option* add_time(CLI::App& command, const std::string& names, std::chrono::nanoseconds& time,
                      const std::string& description) {
  constexpr double kLongestSeconds = 1e9;
  const std::map<std::string, double> units{{"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}};
  const auto take = [&time](double seconds) {
    time = std::chrono::round<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
  };
  return command.add_option_function<double>(names, take, description)
      ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::CASE_SENSITIVE))
      ->check(CLI::Range(0.0, kLongestSeconds))
      ->type_name("TIME");
}

CLI::Option* add_users(CLI::App& command, const std::string& names, std::vector<uid_t>& users,
                       const std::string& description) {
  return command.add_option(names, users, description)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->transform(CLI::Validator(replace_by_number, ""))
      ->type_name("USER");
}

std::string to_text(std::chrono::nanoseconds time) {
  return fmt::format("{} s", std::chrono::duration<double>(time).count());
}

}  // namespace sluice::tools

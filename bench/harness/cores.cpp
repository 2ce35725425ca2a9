#include "cores.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <cerrno>
#include <charconv>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <vector>

namespace sluice::bench {
namespace {

std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) {
    throw std::system_error(errno, std::system_category(), "sched_getaffinity");
  }
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<std::size_t>(core), &set)) cores.push_back(core);
  }
  return cores;
}

// Two hardware threads of one core share its caches: no line travels between them, and they steal each
// other's time.
std::string siblings_of(int core) {
  std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", core));
  std::string line;
  std::getline(file, line);
  return line;
}

int parse_core(std::string_view text, const std::vector<int>& allowed) {
  int core = -1;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), core);
  if (problem != std::errc{} || end != text.data() + text.size()) {
    throw std::invalid_argument(fmt::format("cores: '{}' is no processor number", text));
  }
  for (const auto one : allowed) {
    if (one == core) return core;
  }
  throw std::invalid_argument(fmt::format("cores: this process may not use processor {}", core));
}

}  // namespace

Cores parse_cores(const std::string& text) {
  const auto comma = text.find(',');
  if (comma == std::string::npos) {
    throw std::invalid_argument(fmt::format("cores: '{}' should be two processor numbers as in 0,1", text));
  }
  const auto allowed = allowed_cores();
  const std::string_view view = text;
  const Cores cores{parse_core(view.substr(0, comma), allowed), parse_core(view.substr(comma + 1), allowed)};
  if (cores.first == cores.second) {
    throw std::invalid_argument(fmt::format("cores: '{}' names one processor twice", text));
  }
  return cores;
}

std::optional<Cores> choose_cores() {
  const auto allowed = allowed_cores();
  if (allowed.size() < 2) return std::nullopt;
  const auto first_siblings = siblings_of(allowed.front());
  for (std::size_t i = 1; i < allowed.size(); ++i) {
    if (first_siblings.empty() || siblings_of(allowed[i]) != first_siblings)
      return Cores{allowed.front(), allowed[i]};
  }
  return Cores{allowed[0], allowed[1]};
}

void pin_to(int core) {
  if (core == kAnyCore) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(core), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    throw std::system_error(errno, std::system_category(), fmt::format("pinning to processor {}", core));
  }
}

}  // namespace sluice::bench

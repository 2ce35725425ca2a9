#include "machine.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <string_view>

#include "clock.hpp"

namespace sluice::bench {
namespace {

constexpr std::string_view kUnknown = "unknown";

// The value behind the first "name : value" or "name: value" line of a file under /proc.
std::string proc_value(const char* path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const auto begin = line.find_first_not_of(" \t", colon + 1);
    if (begin != std::string::npos) return line.substr(begin);
  }
  return std::string(kUnknown);
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line) || line.empty()) return std::string(kUnknown);
  return line;
}

std::string caches(int core) {
  std::string text;
  for (int index = 0;; ++index) {
    const auto folder = fmt::format("/sys/devices/system/cpu/cpu{}/cache/index{}/", core, index);
    const auto size = first_line(folder + "size");
    if (size == kUnknown) break;
    if (first_line(folder + "type") == "Instruction") continue;
    text += fmt::format("{}L{} {}", text.empty() ? "" : ", ", first_line(folder + "level"), size);
  }
  return text.empty() ? std::string(kUnknown) : text;
}

std::string kernel() {
  utsname names{};
  if (uname(&names) != 0) return std::string(kUnknown);
  return fmt::format("{} {} {}", names.sysname, names.release, names.machine);
}

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "g++ " __VERSION__;
#else
  return std::string(kUnknown);
#endif
}

}  // namespace

std::vector<Fact> describe_machine(const Cores& cores) {
  const auto governor =
      first_line(fmt::format("/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor", cores.first));
  return {
      {"processor", proc_value("/proc/cpuinfo", "model name")},
      {"family, model, stepping",
       fmt::format("{}, {}, {}", proc_value("/proc/cpuinfo", "cpu family"),
                   proc_value("/proc/cpuinfo", "model\t"), proc_value("/proc/cpuinfo", "stepping"))},
      {"frequency now", proc_value("/proc/cpuinfo", "cpu MHz") + " MHz"},
      {"processors online", std::to_string(sysconf(_SC_NPROCESSORS_ONLN))},
      {"measured on processors", fmt::format("{} and {}", cores.first, cores.second)},
      {"caches", caches(cores.first)},
      {"memory", proc_value("/proc/meminfo", "MemTotal")},
      {"virtual machine",
       proc_value("/proc/cpuinfo", "flags").find(" hypervisor") == std::string::npos ? "no" : "yes"},
      {"kernel", kernel()},
      {"governor", governor == kUnknown ? "not readable" : governor},
      {"clock", bench_clock().uses_counter() ? "invariant time stamp counter" : "CLOCK_MONOTONIC"},
      {"compiler", compiler()},
      {"flags", SLUICE_BENCH_FLAGS},
  };
}

nlohmann::ordered_json to_json(const std::vector<Fact>& facts) {
  nlohmann::ordered_json object;
  for (const auto& fact : facts) object[fact.name] = fact.value;
  return object;
}

}  // namespace sluice::bench

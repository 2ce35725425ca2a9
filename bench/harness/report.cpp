#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <system_error>

namespace sluice::bench {
namespace {

struct Scale {
  double from;
  double divisor;
  std::string_view unit;
};

constexpr std::array kDurations = {Scale{1e9, 1e9, "s"}, Scale{1e6, 1e6, "ms"}, Scale{1e3, 1e3, "us"},
                                   Scale{0, 1, "ns"}};
constexpr std::array kRates = {Scale{1e9, 1e9, "G/s"}, Scale{1e6, 1e6, "M/s"}, Scale{1e3, 1e3, "k/s"},
                               Scale{0, 1, "/s"}};

std::string scaled(double value, const std::array<Scale, 4>& scales) {
  for (const auto& scale : scales) {
    if (value < scale.from) continue;
    const auto shown = value / scale.divisor;
    const int digits = shown >= 99.95 || scale.divisor == 1 ? 0 : shown >= 9.995 ? 1 : 2;
    return fmt::format("{:.{}f} {}", shown, digits, scale.unit);
  }
  return fmt::format("{}", value);
}

nlohmann::ordered_json or_null(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

}  // namespace

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::optional<double> median_ratio(const std::vector<double>& values, const std::vector<double>& floors,
                                   Better better) {
  std::vector<double> ratios;
  for (std::size_t run = 0; run < std::min(values.size(), floors.size()); ++run) {
    const auto [worse, base] =
        better == Better::lower ? std::pair(values[run], floors[run]) : std::pair(floors[run], values[run]);
    if (base > 0 && worse > 0) ratios.push_back(worse / base);
  }
  if (ratios.empty()) return std::nullopt;
  return median_of(ratios);
}

nlohmann::ordered_json to_json(const Row& row) {
  return {{"bench", row.bench},
          {"case", row.case_name},
          {"size", row.size},
          {"unit", row.unit},
          {"median", row.median},
          {"min", row.min},
          {"max", row.max},
          {"floor", row.floor.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(row.floor)},
          {"floor_median", or_null(row.floor_median)},
          {"ratio", or_null(row.ratio)}};
}

void write_json(const std::string& path, const nlohmann::ordered_json& value) {
  const auto temporary = path + ".part";
  {
    std::ofstream file(temporary, std::ios::trunc);
    file << value.dump(1) << '\n';
    file.flush();
    if (!file) {
      const auto saved = errno;
      std::remove(temporary.c_str());
      throw std::system_error(saved, std::system_category(), fmt::format("writing {}", temporary));
    }
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    const auto saved = errno;
    std::remove(temporary.c_str());
    throw std::system_error(saved, std::system_category(), fmt::format("renaming {} to {}", temporary, path));
  }
}

std::string human(double value, std::string_view unit) {
  if (unit == "ns") return scaled(value, kDurations);
  if (unit == "msg/s") return scaled(value, kRates);
  if (unit.empty()) return fmt::format("{:.4g}", value);
  return fmt::format("{:.4g} {}", value, unit);
}

}  // namespace sluice::bench

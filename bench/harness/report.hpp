// The figures: one row per case and metric, as JSON for programs and as a table for people.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

/// How a metric is compared. The ratio is oriented so that 1.0 is the floor and larger is worse.
enum class Better : bool { lower, higher };

/// One metric of one case over all runs.
struct Row {
  std::string bench;
  std::string case_name;  ///< for example "round trip, spin/sluice/p50"
  std::size_t size = 0;   ///< message bytes
  std::string unit;
  double median = 0;
  double min = 0;
  double max = 0;
  std::string floor;  ///< what it was compared with; empty if with nothing
  std::optional<double> floor_median;
  std::optional<double> ratio;  ///< the median of the ratios of the single runs
};

/// The middle value; the mean of the two middle ones if there is an even number. 0 for none.
double median_of(std::vector<double> values);

/// The ratio of each run to the floor of the same run; the median of them. A value of 0 is left out, and
/// nothing left is nullopt.
std::optional<double> median_ratio(const std::vector<double>& values, const std::vector<double>& floors,
                                   Better better);

/// {"bench","case","size","unit","median","min","max","floor","floor_median","ratio"}; what is missing is
/// null.
nlohmann::ordered_json to_json(const Row& row);

/// Writes the rows as a JSON array, whole or not at all (a temporary file, then a rename). Throws
/// std::system_error.
void write_json(const std::string& path, const nlohmann::ordered_json& value);

/// A duration or a rate in three digits and a readable unit: "412 ns", "12.3 us", "54.1 M/s".
std::string human(double value, std::string_view unit);

}  // namespace sluice::bench

#include "suite.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <stdexcept>
#include <utility>

#include "machine.hpp"
#include "placement.hpp"

namespace sluice::bench {
namespace {

constexpr int kSkippedTest = 77;
constexpr unsigned kRuns = 11;
constexpr double kRunSeconds = 0.04;
constexpr double kSmokeSeconds = 0.002;
constexpr std::chrono::seconds kMostWaiting{10};  // for the host to move the processors back, each run
constexpr double kMostShortage = 0.25;            // of a run's time, without a processor for somebody
constexpr std::size_t kFewestRuns = 3;            // worth printing

volatile std::sig_atomic_t ending_signal = 0;

/// Ctrl-C and kill end the program between two runs, so that no folder is left behind; the second one at
/// once.
void end_between_runs() {
  struct sigaction action {};
  action.sa_handler = [](int number) { ending_signal = number; };
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
}

void throw_if_to_end() {
  if (ending_signal != 0) throw std::runtime_error(fmt::format("ended by signal {}", ending_signal + 0));
}

}  // namespace

struct Suite::Settings {
  bool smoke = false;
  bool list = false;
  unsigned runs = kRuns;
  double seconds = kRunSeconds;
  std::string json;
  std::string machine;
  std::string cores_text;
  std::string pattern;
  std::optional<Distance> distance;
  Cores cores;

  RunPlan plan(const Group& group) const {
    RunPlan plan;
    const auto length = smoke ? 1.0 : group.length;
    plan.measured_ns = static_cast<std::uint64_t>(seconds * length * 1e9);
    plan.warm_up_ns = plan.measured_ns / 5;
    plan.pace_ns = group.pace_ns;
    return plan;
  }
};

/// The metrics of all runs of one subject, in the order of the runs.
struct Suite::Series {
  std::vector<Metric> shape;                // name, unit, direction
  std::vector<std::vector<double>> values;  // of each metric

  void add(const Metrics& metrics) {
    if (shape.empty()) {
      shape = metrics;
      values.resize(metrics.size());
    }
    for (std::size_t i = 0; i < values.size(); ++i) values[i].push_back(metrics.at(i).value);
  }
};

/// What the runs of one group have given at one distance.
struct Suite::Table {
  std::map<std::string, Series> series;
  std::vector<double> line_ns;

  /// Runs in which everything that works was measured.
  std::size_t runs(const Group& group) const {
    std::size_t least = SIZE_MAX;
    for (const auto& subject : group.subjects) {
      const auto found = series.find(subject.name);
      const auto count =
          found == series.end() || found->second.values.empty() ? 0 : found->second.values[0].size();
      least = std::min(least, count);
    }
    return least;
  }
};

/// Everything about one group while it is measured.
struct Suite::Progress {
  std::map<Distance, Table> tables;
  std::set<std::string> broken;
  unsigned moved = 0;      // runs thrown away because the processors were moved meanwhile
  unsigned disturbed = 0;  // runs thrown away because something else wanted the processors
};

Metrics latency_metrics(const Histogram& histogram) {
  const auto at = [&](double percent) { return static_cast<double>(histogram.percentile(percent)); };
  return {{"typical", histogram.middle_mean(), "ns"},
          {"p50", at(50), "ns"},
          {"p90", at(90), "ns"},
          {"p99", at(99), "ns"},
          {"p99.9", at(99.9), "ns"},
          {"max", static_cast<double>(histogram.max()), "ns"}};
}

Metrics rate_metrics(double messages_per_second) {
  return {{"rate", messages_per_second, "msg/s", Better::higher}};
}

Suite::Suite(std::string bench, std::string question)
    : bench_(std::move(bench)), question_(std::move(question)) {}

void Suite::add(Group group) {
  groups_.push_back(std::move(group));
}

void Suite::skip(const std::string& what, const std::string& why) {
  skipped_.push_back(fmt::format("{}: skipped, {}", what, why));
}

namespace {

void print_rows(const Group& group, const std::vector<Row>& rows) {
  for (const auto& row : rows) {
    const auto label = row.case_name.substr(group.name.size() + 1);
    auto line = fmt::format("  {:<34} {:>10}  ({} .. {})", label, human(row.median, row.unit),
                            human(row.min, row.unit), human(row.max, row.unit));
    if (row.unit == "msg/s" && row.size >= 1024) {
      line += fmt::format("  {:.1f} GB/s", row.median * static_cast<double>(row.size) / 1e9);
    }
    if (row.ratio) line += fmt::format("  {:.2f} x {}", *row.ratio, row.floor);
    fmt::print("{}\n", line);
  }
}

}  // namespace

void Suite::measure_once(const Group& group, const Subject& subject, const Settings& settings,
                         Progress& progress) {
  Placement placement;
  placement.probe(settings.cores);
  const auto shortage_before = cpu_shortage_ns();
  const auto begun = monotonic_ns();
  const auto metrics = subject.run(settings.cores, settings.plan(group));
  const auto elapsed = monotonic_ns() - begun;
  const auto shortage = cpu_shortage_ns() - shortage_before;
  if (!settings.smoke) placement.probe(settings.cores);
  const auto strict = !settings.smoke && group.timed;
  if (strict && !placement.steady()) {
    ++progress.moved;
    return;
  }
  if (strict && !group.crowded &&
      static_cast<double>(shortage) > kMostShortage * static_cast<double>(elapsed)) {
    ++progress.disturbed;
    return;
  }
  // A smoke run is one run of everything, wherever the processors are meanwhile.
  auto& table = progress.tables[settings.smoke ? kDistances.front() : placement.distance()];
  table.line_ns.push_back(placement.line_ns());
  table.series[subject.name].add(metrics);
}

void Suite::measure_round(Group& group, const Settings& settings, Progress& progress) {
  for (const auto& subject : group.subjects) {
    throw_if_to_end();
    try {
      measure_once(group, subject, settings, progress);
    } catch (const std::exception& problem) {
      progress.broken.insert(subject.name);
      failed_ = true;
      fmt::print(stderr, "{}: {}/{}, {} B: {}\n", bench_, group.name, subject.name, group.size,
                 problem.what());
    }
  }
  std::erase_if(group.subjects,
                [&](const Subject& subject) { return progress.broken.contains(subject.name); });
}

std::vector<Row> Suite::rows_of(const Group& group, const Table& table) const {
  std::vector<Row> rows;
  for (const auto& subject : group.subjects) {
    const auto& series = table.series.at(subject.name);
    const auto floor = table.series.find(subject.floor);
    for (std::size_t i = 0; i < series.shape.size(); ++i) {
      const auto& values = series.values[i];
      Row row{bench_,
              fmt::format("{}/{}/{}", group.name, subject.name, series.shape[i].name),
              group.size,
              series.shape[i].unit,
              median_of(values),
              *std::min_element(values.begin(), values.end()),
              *std::max_element(values.begin(), values.end()),
              subject.floor,
              std::nullopt,
              std::nullopt};
      if (floor != table.series.end() && i < floor->second.values.size()) {
        row.floor_median = median_of(floor->second.values[i]);
        row.ratio = median_ratio(values, floor->second.values[i], series.shape[i].better);
      }
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::vector<Row> Suite::measure(Group group, const Settings& settings) {
  const auto runs = std::min(settings.runs, group.most_runs);
  Progress progress;
  const auto give_up = std::chrono::steady_clock::now() + kMostWaiting * runs;
  const auto enough = [&] {
    if (group.subjects.empty()) return true;
    return std::ranges::any_of(progress.tables, [&](const auto& entry) {
      const auto wanted =
          settings.smoke || !group.timed || !settings.distance || entry.first == *settings.distance;
      return wanted && entry.second.runs(group) >= runs;
    });
  };
  while (!enough() && std::chrono::steady_clock::now() < give_up) measure_round(group, settings, progress);
  if (group.subjects.empty()) return {};

  const auto runs_at = [&](Distance distance) {
    const auto found = progress.tables.find(distance);
    return found == progress.tables.end() ? 0 : found->second.runs(group);
  };
  const auto most = std::ranges::max(kDistances, {}, runs_at);
  const auto reported = settings.smoke || !group.timed ? most : settings.distance.value_or(most);
  if (runs_at(reported) < runs) {
    failed_ = true;
    fmt::print(stderr, "{}: {}, {} B: only {} of {} runs with the processors {}\n", bench_, group.name,
               group.size, runs_at(reported), runs, to_string(reported));
  }
  std::vector<Row> rows;
  auto shown = kDistances;  // what is reported comes last
  std::stable_partition(shown.begin(), shown.end(), [&](Distance distance) { return distance != reported; });
  for (const auto distance : shown) {
    if (runs_at(distance) < std::min<std::size_t>(runs, kFewestRuns)) continue;
    const auto& table = progress.tables.at(distance);
    const auto found = rows_of(group, table);
    fmt::print("\n{}{}, processors {} (cache line {:.0f} ns), {} runs{}\n", group.name,
               group.size == 0 ? "" : fmt::format(", {} B", group.size), to_string(distance),
               median_of(table.line_ns), table.runs(group), distance == reported ? "" : ", not in the JSON");
    print_rows(group, found);
    if (distance == reported) rows = found;
  }
  if (progress.moved + progress.disturbed != 0) {
    fmt::print(
        "  (thrown away: {} runs in which the processors were moved, {} in which others wanted them)\n",
        progress.moved, progress.disturbed);
  }
  std::fflush(stdout);
  return rows;
}

void Suite::select(const std::string& pattern) {
  const std::regex expression(pattern);
  for (auto& group : groups_) {
    const auto wanted = [&](const Subject& subject) {
      return std::regex_search(fmt::format("{}/{}/{}", group.name, subject.name, group.size), expression);
    };
    std::vector<std::string> floors;  // a floor stays as long as something that is compared with it does
    for (const auto& subject : group.subjects) {
      if (wanted(subject)) floors.push_back(subject.floor);
    }
    std::erase_if(group.subjects, [&](const Subject& subject) {
      return !wanted(subject) && std::find(floors.begin(), floors.end(), subject.name) == floors.end();
    });
  }
}

void Suite::list() const {
  for (const auto& group : groups_) {
    for (const auto& subject : group.subjects) fmt::print("{}/{}/{}\n", group.name, subject.name, group.size);
  }
}

int Suite::run(int argc, char** argv) {
  Settings settings;
  CLI::App app{question_, bench_};
  app.add_flag("--smoke", settings.smoke, "one very short run of every case: does it work at all");
  app.add_option("--runs", settings.runs, "runs of every case")
      ->check(CLI::Range(1U, 1000U))
      ->capture_default_str();
  app.add_option("--seconds", settings.seconds, "measured time of a run")
      ->check(CLI::Range(0.0001, 10.0))
      ->capture_default_str();
  app.add_option("--json", settings.json, "write the rows to this file");
  app.add_option("--machine", settings.machine, "write the machine's description to this file, as JSON");
  app.add_option("--cores", settings.cores_text, "the two processors to use, as A,B");
  app.add_option("--case", settings.pattern,
                 "only the cases GROUP/SUBJECT/SIZE that this regular expression finds");
  std::map<std::string, Distance> distances;
  for (const auto distance : kDistances) distances.emplace(to_string(distance), distance);
  app.add_option(
         "--distance", settings.distance,
         "only runs while the processors are threads of one core (same-core), cores that share a cache "
         "(near), or cores that don't (far)")
      ->transform(CLI::CheckedTransformer(distances));
  app.add_flag("--list", settings.list, "print the cases and stop");
  CLI11_PARSE(app, argc, argv);
  if (settings.smoke) {
    settings.runs = 1;
    settings.seconds = kSmokeSeconds;
  }

  try {
    select(settings.pattern);
    if (settings.list) {
      list();
      return 0;
    }
    auto cores = settings.cores_text.empty() ? choose_cores() : parse_cores(settings.cores_text);
    if (!cores) {
      fmt::print(stderr,
                 "{}: NOT MEASURED: this process may use only one processor, and two processes that share "
                 "one measure "
                 "the scheduler and nothing else\n",
                 bench_);
      return kSkippedTest;
    }
    settings.cores = *cores;
    auto facts = describe_machine(settings.cores);
    if (settings.distance) facts.push_back({"distance", std::string(to_string(*settings.distance))});
    fmt::print("{}: {}\n", bench_, question_);
    for (const auto& fact : facts) fmt::print("  {:<24} {}\n", fact.name, fact.value);
    fmt::print(
        "  {:<24} {} of {:.3g} s each, median (min .. max); x: median of the ratios of the single runs\n",
        "runs", settings.runs, settings.seconds);
    for (const auto& line : skipped_) fmt::print("  {}\n", line);

    end_between_runs();
    auto rows = nlohmann::ordered_json::array();
    for (const auto& group : groups_) {
      const auto measured = measure(group, settings);
      for (const auto& row : measured) rows.push_back(to_json(row));
    }
    if (!settings.json.empty()) write_json(settings.json, rows);
    if (!settings.machine.empty()) write_json(settings.machine, to_json(facts));
  } catch (const std::exception& problem) {
    fmt::print(stderr, "{}: {}\n", bench_, problem.what());
    return 1;
  }
  return failed_ ? 1 : 0;
}

}  // namespace sluice::bench

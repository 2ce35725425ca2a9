// A benchmark program: groups of things that are measured in turn, run after run, so that each ratio is of
// one run.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "channel.hpp"
#include "report.hpp"

namespace sluice::bench {

/// One metric of one run, for example {"p50", 412}.
struct Metric {
  std::string name;
  double value = 0;
  std::string unit;
  Better better = Better::lower;
};

using Metrics = std::vector<Metric>;

/// typical (the mean of the middle half), p50, p90, p99, p99.9 and max in ns.
Metrics latency_metrics(const Histogram& histogram);

/// "rate" in msg/s.
Metrics rate_metrics(double messages_per_second);

/// One thing in a group.
struct Subject {
  std::string name;
  std::string floor;  ///< the subject of the same group it is compared with; empty: with none
  std::function<Metrics(const Cores&, const RunPlan&)> run;
};

/// Things that answer one question at one size, measured interleaved.
struct Group {
  std::string name;
  std::size_t size = 0;
  std::vector<Subject> subjects;
  double length = 1;  ///< multiplies the measured time of a run; paced cases need longer ones
  std::uint64_t pace_ns = 0;
  /// Whether more threads than processors are at work by nature, so that a want of processors says nothing.
  bool crowded = false;
  bool timed = true;  ///< false: nothing here depends on where the processors are or who else uses them
  unsigned most_runs = 1000;  ///< for what is counted, not timed
};

/// The common command line and run loop of all benchmark programs.
class Suite {
 public:
  /// `bench` is the program's name; `question` says in a sentence what it answers.
  Suite(std::string bench, std::string question);

  void add(Group group);

  /// Says on the report that something was left out, and why.
  void skip(const std::string& what, const std::string& why);

  /// Parses --smoke --runs N --seconds S --json FILE --machine FILE --cores A,B
  /// --distance same-core|near|far --case REGEX --list, measures, prints, writes. Returns the exit code: 0, 1
  /// if a measurement failed, 77 (a skipped test) where there is only one processor.
  int run(int argc, char** argv);

 private:
  struct Settings;
  struct Series;
  struct Table;
  struct Progress;

  void select(const std::string& pattern);
  void list() const;
  /// One run of one thing, kept under the distance that the processors had.
  static void measure_once(const Group& group, const Subject& subject, const Settings& settings,
                           Progress& progress);
  /// One run of everything in a group; takes out what failed.
  void measure_round(Group& group, const Settings& settings, Progress& progress);
  std::vector<Row> rows_of(const Group& group, const Table& table) const;
  /// Measures a group until there are enough runs at one distance, and prints it.
  std::vector<Row> measure(Group group, const Settings& settings);

  std::string bench_;
  std::string question_;
  std::vector<Group> groups_;
  std::vector<std::string> skipped_;
  bool failed_ = false;
};

}  // namespace sluice::bench

#include "harness/report.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

namespace sluice::bench {
namespace {

TEST(Report, MedianIsTheMiddle) {
  EXPECT_EQ(median_of({}), 0.0);
  EXPECT_EQ(median_of({3, 1, 2}), 2.0);
  EXPECT_EQ(median_of({4, 1, 2, 3}), 2.5);
}

TEST(Report, RatioPairsTheRunsAndGrowsWithTheLoss) {
  // The machine was twice as slow in the second run: the ratios agree all the same.
  EXPECT_DOUBLE_EQ(*median_ratio({110, 220, 110}, {100, 200, 100}, Better::lower), 1.1);
  EXPECT_DOUBLE_EQ(*median_ratio({50, 25}, {100, 50}, Better::higher), 2.0);
}

TEST(Report, NoRatioWithoutAFloor) {
  EXPECT_FALSE(median_ratio({100}, {}, Better::lower).has_value());
  EXPECT_FALSE(median_ratio({100}, {0}, Better::lower).has_value());
}

TEST(Report, RowHasTheDocumentedFields) {
  const Row row{
      "bench_latency", "round trip, spin/sluice/p50", 64, "ns", 412, 400, 430, "cache line", 380, 1.08};
  EXPECT_EQ(
      to_json(row).dump(),
      R"({"bench":"bench_latency","case":"round trip, spin/sluice/p50","size":64,"unit":"ns","median":412.0,)"
      R"("min":400.0,"max":430.0,"floor":"cache line","floor_median":380.0,"ratio":1.08})");
}

TEST(Report, WhatIsMissingIsNull) {
  Row row;
  row.bench = "bench_floors";
  const auto json = to_json(row);
  EXPECT_TRUE(json["floor"].is_null());
  EXPECT_TRUE(json["floor_median"].is_null());
  EXPECT_TRUE(json["ratio"].is_null());
}

TEST(Report, WritesWholeFilesOrNone) {
  const auto folder = std::filesystem::temp_directory_path() / ("sluice-report-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  const auto path = folder / "rows.json";
  write_json(path.string(), nlohmann::ordered_json::array({1, 2}));
  std::ifstream file(path);
  EXPECT_EQ(nlohmann::json::parse(file), nlohmann::json({1, 2}));
  EXPECT_THROW(write_json((folder / "missing" / "rows.json").string(), {}), std::system_error);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  std::filesystem::remove_all(folder);
}

TEST(Report, FiguresAreReadable) {
  EXPECT_EQ(human(412, "ns"), "412 ns");
  EXPECT_EQ(human(12'345, "ns"), "12.3 us");
  EXPECT_EQ(human(54'100'000, "msg/s"), "54.1 M/s");
  EXPECT_EQ(human(0.5, "per message"), "0.5 per message");
}

}  // namespace
}  // namespace sluice::bench

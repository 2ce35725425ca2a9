// The demo: one process streams a file through a port, record by record; a second one answers each record
// with the SHA-256 of the stream so far, over the same port; the first checks every answer. Then a worker is
// killed in the middle of a stream and started again.
//
//   ./run demo [FILE]                    expected output: throughput, a table of latencies, two kills and
//   build/release/bin/demo [FILE]          resumptions, and "equal: ..." in the last line; exit code 0
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>

#include "flight.hpp"
#include "lap.hpp"
#include "report.hpp"
#include "resumption.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "worker.hpp"

namespace {

constexpr std::size_t kBulkRecordBytes = 64U << 10U;
constexpr std::size_t kSmallRecordBytes = 1U << 10U;
constexpr std::array<std::uint64_t, 3> kInFlight{1, 8, 64};
constexpr std::chrono::seconds kWorkerMayTake{10};

sluice::Port accept_worker(const std::string& channel) {
  sluice::ListenOptions options;
  options.port.ring_bytes = demo::kRingBytes;
  sluice::Listener listener = sluice::listen(channel, options);
  std::optional<sluice::Port> port = listener.accept_for(kWorkerMayTake);
  if (!port) throw std::runtime_error("the worker didn't connect");
  return std::move(*port);
}

demo::FlightResult fly_live(sluice::Port& port, const demo::Lap& lap, const demo::Flight& flight,
                            const std::string& label) {
  demo::LiveLine line(label);
  return demo::fly(port, lap, flight, [&](auto bytes, auto elapsed) { line.show(bytes, elapsed); });
}

/// Every phase over one port, then the verdict. A wrong answer has thrown before.
void show_rates(sluice::Port& port, const demo::Input& input, const demo::Lap& bulk,
                std::chrono::nanoseconds phase_time) {
  const demo::Lap small(input.bytes, kSmallRecordBytes);

  const auto throughput = fly_live(port, bulk, {.time = phase_time}, "throughput");
  demo::print_throughput(throughput, bulk);
  std::uint64_t laps = throughput.laps;

  demo::print_latency_heading(small);
  for (const std::uint64_t in_flight : kInFlight) {
    const auto latency = fly_live(port, small, {.max_in_flight = in_flight, .time = phase_time / 2},
                                  fmt::format("latency, {} in flight", in_flight));
    demo::print_latency(latency, in_flight);
    laps += latency.laps;
  }
  fmt::print("\n  sha256  {}\n  equal: sent and arrived, record by record, in {} laps\n",
             demo::to_hex(bulk.digest()), laps);
}

void run(const std::string& file, std::chrono::nanoseconds phase_time) {
  const demo::Input input = demo::load(file);
  const std::string channel = fmt::format("demo-{}", ::getpid());
  demo::WorkerProcess worker("--worker", channel);
  sluice::Port port = accept_worker(channel);
  fmt::print(
      "{}{}, {:.1f} MiB, from process {} to process {} and back\n(kill one of them to see what happens)\n\n",
      input.cut ? "the beginning of " : "", file, static_cast<double>(input.bytes.size()) / (1 << 20),
      ::getpid(), worker.pid());
  std::fflush(stdout);
  const demo::Lap bulk(input.bytes, kBulkRecordBytes);
  try {
    show_rates(port, input, bulk, phase_time);
  } catch (const demo::PortEnded& end) {
    const std::string how = end.status == sluice::Status::peer_died ? " (" + worker.wait() + ")" : "";
    throw std::runtime_error(
        fmt::format("the worker's port ended: {}{}", sluice::to_string(end.status), how));
  }
  port.close();
  if (const std::string how = worker.wait(); !how.empty())
    throw std::runtime_error("the worker failed: " + how);
  demo::show_resumption(bulk);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    CLI::App app{"Two processes stream a file through shared memory and show rates and latencies", "demo"};
    std::string file = "/proc/self/exe";
    double seconds = 3;
    app.add_option("FILE", file, "What to stream; default: this program");
    app.add_option("--seconds", seconds, "Time for the throughput; each latency takes half of it")
        ->check(CLI::Range(0.0, 10.0));
    std::string worker;
    std::string session_worker;
    app.add_option("--worker", worker)->group("");  // hidden: how the demo starts its workers
    app.add_option("--session-worker", session_worker)->group("");
    CLI11_PARSE(app, argc, argv);
    if (!worker.empty()) return demo::run_worker(worker);
    if (!session_worker.empty()) return demo::run_session_worker(session_worker);
    run(file, std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds)));
    return 0;
  } catch (const demo::PortEnded& end) {
    std::fflush(stdout);
    fmt::print(stderr, "demo: the session ended: {}\n", sluice::to_string(end.status));
    return 1;
  } catch (const std::exception& failure) {
    std::fflush(stdout);
    fmt::print(stderr, "demo: {}\n", failure.what());
    return 1;
  }
}

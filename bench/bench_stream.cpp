// What does a port stream cost above the port that carries it?
#include <fmt/format.h>

#include <array>
#include <future>
#include <optional>
#include <utility>
#include <vector>

#include "harness/measure.hpp"
#include "harness/suite.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "sluice_channel.hpp"

namespace sluice::bench {
namespace {

constexpr std::size_t kKiB = 1024;

/// The blocks of one timed run, for a stream that asks for them.
class TimedBlocks {
 public:
  TimedBlocks(std::size_t bytes, const RunPlan& plan) : source_(bytes), plan_(plan) {}

  std::optional<Bytes> next() {
    constexpr std::uint64_t kCheckMask = 63;
    if (ended_) return std::nullopt;
    const bool look = (source_.sequence() & kCheckMask) == kCheckMask;
    if (!look) return source_.next(0);
    const auto now = monotonic_ns();
    if (begun_ns_ == 0) begun_ns_ = now;
    if (!measuring_ && now >= begun_ns_ + plan_.warm_up_ns) {
      measuring_ = true;
      begun_ns_ = now;
      return source_.next(kStartFlag);
    }
    ended_ = measuring_ && now >= begun_ns_ + plan_.measured_ns;
    return source_.next(ended_ ? kLastFlag : 0);
  }

 private:
  Source source_;
  RunPlan plan_;
  std::uint64_t begun_ns_ = 0;
  bool measuring_ = false;
  bool ended_ = false;
};

/// Follows the flags of a run, block by block.
class Meter {
 public:
  Meter(std::size_t bytes, StreamResult& result) : checker_(bytes), result_(&result) {}

  void block(Bytes message) {
    const auto word = checker_.check(message);
    if ((word & kStartFlag) != 0) {
      started_ns_ = monotonic_ns();
      first_ = word & kSequenceMask;
    }
    if ((word & kLastFlag) != 0) {
      result_->ns = monotonic_ns() - started_ns_;
      result_->messages = (word & kSequenceMask) - first_;
    }
  }

 private:
  Checker checker_;
  StreamResult* result_;
  std::uint64_t started_ns_ = 0;
  std::uint64_t first_ = 0;
};

/// Runs `sending` in the first process and `receiving` in the second, each with its port.
template <class Sending, class Receiving>
StreamResult between_processes(const Cores& cores, const ChannelOptions& options, Sending sending,
                               Receiving receiving) {
  return run_between<Ports, StreamResult>(
      cores, options, [&](auto& end, StreamResult&) { sending(end.port()); },
      [&](auto& end, StreamResult& result) { receiving(end.port(), result); });
}

/// What a stream was used for before it is measured.
enum class Before : std::uint8_t { nothing, both_ways };

/// A short stream in each direction, at the same time.
void use_both_ways(PortStream& stream) {
  const std::vector<std::byte> bytes(kKiB);
  auto sending = std::async(std::launch::async, [&] { stream.send(bytes); });
  stream.receive([](Bytes /*block*/) {});
  sending.get();
}

Subject stream_subject(std::string name, const ChannelOptions& options, const PortStreamOptions& with,
                       Before before = Before::nothing) {
  return {std::move(name), "port", [=](const Cores& cores, const RunPlan& plan) {
            const auto result = between_processes(
                cores, options,
                [&](Port& port) {
                  TimedBlocks blocks(options.message_bytes, plan);
                  auto stream = create_port_stream(port, with);
                  if (before == Before::both_ways) use_both_ways(stream);
                  stream.send(BlockSource([&] { return blocks.next(); }));
                },
                [&](Port& port, StreamResult& measured) {
                  Meter meter(options.message_bytes, measured);
                  auto stream = create_port_stream(port, with);
                  if (before == Before::both_ways) use_both_ways(stream);
                  for (const auto block : stream.receive()) meter.block(block);
                });
            return rate_metrics(result.per_second());
          }};
}

Subject port_subject(const ChannelOptions& options) {
  return {"port", "", [options](const Cores& cores, const RunPlan& plan) {
            return rate_metrics(measure_one_way<Ports>(cores, options, plan).per_second());
          }};
}

/// A block there, a few bytes back: what one block at a time costs the port itself.
Subject answered_port_subject(const ChannelOptions& options) {
  return {"port", "", [options](const Cores& cores, const RunPlan& plan) {
            const auto result = between_processes(
                cores, options,
                [&](Port& port) {
                  TimedBlocks blocks(options.message_bytes, plan);
                  while (const auto block = blocks.next()) {
                    expect_ok(port.post_message(*block), "post_message");
                    expect_ok(port.receive().status(), "receive");
                  }
                  port.close();
                },
                [&](Port& port, StreamResult& measured) {
                  Meter meter(options.message_bytes, measured);
                  const std::array<std::byte, 6> answer{};
                  for (Message message = port.receive(); message; message = port.receive()) {
                    meter.block(message.bytes());
                    message.release();
                    if (port.post_message(answer) != Status::ok) break;
                  }
                });
            return rate_metrics(result.per_second());
          }};
}

using TwoResults = std::array<StreamResult, 2>;

/// What this process receives while a thread of it sends.
StreamResult stream_both_ways(Port& port, const ChannelOptions& options, const PortStreamOptions& with,
                              const RunPlan& plan) {
  StreamResult result;
  auto stream = create_port_stream(port, with);
  auto sending = std::async(std::launch::async, [&] {
    TimedBlocks blocks(options.message_bytes, plan);
    stream.send(BlockSource([&] { return blocks.next(); }));
  });
  Meter meter(options.message_bytes, result);
  for (const auto block : stream.receive()) meter.block(block);
  sending.get();
  return result;
}

StreamResult post_both_ways(Port& port, const ChannelOptions& options, const RunPlan& plan) {
  StreamResult result;
  auto sending = std::async(std::launch::async, [&] {
    TimedBlocks blocks(options.message_bytes, plan);
    while (const auto block = blocks.next()) expect_ok(port.post_message(*block), "post_message");
  });
  Meter meter(options.message_bytes, result);
  while (result.ns == 0) {
    const Message message = port.receive();
    expect_ok(message.status(), "receive");
    meter.block(message.bytes());
  }
  sending.get();
  return result;
}

/// Two threads in each process; the rate is that of both directions together.
template <class Run>
Subject both_ways_subject(std::string name, std::string floor, const ChannelOptions& options, Run run) {
  return {std::move(name), std::move(floor), [options, run](const Cores& cores, const RunPlan& plan) {
            const auto result = run_between<Ports, TwoResults>(
                cores, options, [&](auto& end, TwoResults& results) { results[0] = run(end.port(), plan); },
                [&](auto& end, TwoResults& results) { results[1] = run(end.port(), plan); });
            return rate_metrics(result[0].per_second() + result[1].per_second());
          }};
}

Subject both_ways_port_subject(const ChannelOptions& options) {
  return both_ways_subject("port", "", options, [options](Port& port, const RunPlan& plan) {
    return post_both_ways(port, options, plan);
  });
}

Subject both_ways_stream_subject(std::string name, const ChannelOptions& options,
                                 const PortStreamOptions& with) {
  return both_ways_subject(std::move(name), "port", options,
                           [options, with](Port& port, const RunPlan& plan) {
                             return stream_both_ways(port, options, with, plan);
                           });
}

ChannelOptions options_for(std::size_t bytes, std::size_t ring_bytes = kKiB * kKiB) {
  ChannelOptions options;
  options.message_bytes = bytes;
  options.ring_bytes = ring_bytes;
  options.first = options.second = Wait::adaptive;
  return options;
}

void add_groups(Suite& suite) {
  const PortStreamOptions standard{};
  const PortStreamOptions copied{.reading = StreamReading::copied};
  const PortStreamOptions no_credits{.window_bytes = 0};
  for (const std::size_t bytes : {kKiB, 64 * kKiB}) {
    const auto options = options_for(bytes);
    suite.add({"stream, window 1 MiB",
               bytes,
               {port_subject(options), stream_subject("stream", options, standard),
                stream_subject("stream after use both ways", options, standard, Before::both_ways),
                stream_subject("stream, copied", options, copied)}});
    suite.add({"stop and wait",
               bytes,
               {answered_port_subject(options), stream_subject("stream", options, no_credits)}});
    // More threads than the two processors that are measured on.
    suite.add(
        {.name = "both_ways",
         .size = bytes,
         .subjects = {both_ways_port_subject(options), both_ways_stream_subject("stream", options, standard),
                      both_ways_stream_subject("stream, copied", options, copied)},
         .crowded = true});
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Suite suite("bench_stream", "what does a port stream cost above the port that carries it?");
  sluice::bench::add_groups(suite);
  return suite.run(argc, argv);
}

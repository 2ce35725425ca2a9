#include "codec_peers.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "harness/measure.hpp"
#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"
#include "sluice_channel.hpp"
#include "timed_work.hpp"

namespace sluice::bench {
namespace {

constexpr std::size_t kMessageBytes = 64;

void expect_number(std::uint64_t came, std::uint64_t expected) {
  if (came == expected) return;
  throw std::runtime_error("expected number " + std::to_string(expected) + ", got " + std::to_string(came));
}

/// A peer on each side; the second one serves a method that counts its calls, and one that tells their number.
class PeerEnd {
 public:
  explicit PeerEnd(Port port) {
    auto& actor = registry_->actor("bench");
    actor.method("empty", [this] { ++calls_; });
    actor.method("calls", [this] {
      asked_ = true;
      asked_.notify_one();
      return calls_;
    });
    peer_ = std::make_unique<codec::Peer>(std::move(port), codec::PeerOptions{.registry = registry_.get()});
  }
  PeerEnd(const PeerEnd&) = delete;
  PeerEnd& operator=(const PeerEnd&) = delete;

  void call(const RunPlan& plan, Histogram& result) {
    const auto& clock = bench_clock();
    const auto measured_from = clock.ticks() + clock.from_ns(plan.warm_up_ns);
    const auto stop_at = measured_from + clock.from_ns(plan.measured_ns);
    std::uint64_t calls = 0;
    for (auto start = clock.ticks(); start < stop_at;) {
      peer_->call("bench", "empty");
      ++calls;
      const auto stop = clock.ticks();
      if (start >= measured_from) result.record(clock.to_ns(stop - start));
      start = stop;
    }
    expect_number(peer_->call<std::uint64_t>("bench", "calls"), calls);
  }
  void serve() {
    peer_->start();
    asked_.wait(false);
  }

 private:
  std::unique_ptr<codec::Registry> registry_ = std::make_unique<codec::Registry>();
  std::unique_ptr<codec::Peer> peer_;
  std::uint64_t calls_ = 0;
  std::atomic<bool> asked_{false};
};

class PeerChannel {
 public:
  explicit PeerChannel(const ChannelOptions& options) : options_(options) {}

  PeerEnd open(Side side) {
    PortOptions port;
    port.wait.strategy = strategy_of(options_.wait(side));
    const auto path = folder_.path() + "/port";
    if (side == Side::first) return PeerEnd(listen(path, {.port = port}).accept());
    return PeerEnd(connect(path, {.port = port}));
  }

 private:
  ChannelOptions options_;
  TemporaryFolder folder_;
};

Subject calling(std::string name, std::string floor) {
  return {std::move(name), std::move(floor), [](const Cores& cores, const RunPlan& plan) {
            return latency_metrics(run_between<PeerChannel, Histogram>(
                cores, {.message_bytes = kMessageBytes},
                [&](PeerEnd& end, Histogram& histogram) { end.call(plan, histogram); },
                [](PeerEnd& end, Histogram&) { end.serve(); }));
          }};
}

Subject bare(std::string name) {
  return {std::move(name), "", [](const Cores& cores, const RunPlan& plan) {
            return latency_metrics(measure_round_trip<Ports>(cores, {.message_bytes = kMessageBytes}, plan));
          }};
}

/// A state that one stream observes, beside `idle` streams of another one over the same port.
class Observing {
 public:
  explicit Observing(std::size_t idle) : Observing(make_port_pair(), idle) {}

  std::uint64_t update(std::uint64_t number) {
    state_ = number;
    const auto* const value = stream_->next();
    return value != nullptr ? *value : ~number;
  }

 private:
  Observing(std::pair<Port, Port> ports, std::size_t idle) {
    registry_.actor("bench").state("busy", state_).state("idle", idle_state_);
    server_ =
        std::make_unique<codec::Peer>(std::move(ports.first), codec::PeerOptions{.registry = &registry_});
    client_ = std::make_unique<codec::Peer>(std::move(ports.second));
    for (std::size_t i = 0; i < idle; ++i) {
      idle_.push_back(client_->observe<std::uint64_t>("bench", "idle"));
      expect_ok(server_->poll(), "poll");
      expect_number(*idle_.back().next(), 17);
    }
    stream_ = std::make_unique<codec::Observed<std::uint64_t>>(
        client_->observe<std::uint64_t>("bench", "busy", {.window = codec::kMaxCredit}));
    expect_ok(server_->poll(), "poll");
    expect_number(*stream_->next(), 0);
    server_->start();
  }

  codec::Registry registry_;
  codec::ObservableState<std::uint64_t> state_;
  codec::ObservableState<std::uint64_t> idle_state_{17};
  std::unique_ptr<codec::Peer> server_;
  std::unique_ptr<codec::Peer> client_;
  std::vector<codec::Observed<std::uint64_t>> idle_;
  std::unique_ptr<codec::Observed<std::uint64_t>> stream_;
};

auto observing(std::size_t idle) {
  return [idle] {
    return [all = std::make_shared<Observing>(idle)](std::uint64_t i) { return all->update(i); };
  };
}

}  // namespace

void add_calls(Suite& suite) {
  suite.add({"call of an empty method, spin", kMessageBytes, {bare("port"), calling("call", "port")}});
}

void add_streams(Suite& suite) {
  suite.add(
      {"update of an observed number, to the observer",
       8,
       {timed("alone", "", observing(0)), timed("beside 1,000 idle streams", "alone", observing(1000))}});
}

}  // namespace sluice::bench

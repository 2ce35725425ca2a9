// How do channels fare if there are more threads than processors, pauses between messages, and strangers?
//
// Two processes, a thread a pair in each, no thread pinned: each client sends a message, waits for the answer,
// sleeps for the pause.
#include <fmt/format.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "harness/child.hpp"
#include "harness/measure.hpp"
#include "harness/suite.hpp"
#include "peers/kernel_pipes.hpp"
#include "sluice_channel.hpp"

namespace sluice::bench {
namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::uint64_t kMicrosecond = 1000;
constexpr std::uint64_t kMillisecond = 1000 * kMicrosecond;

/// Who else wants the processors.
enum class Beside : std::uint8_t { nobody, busy_stranger, spinning_pair };

struct Crowd {
  unsigned pairs = 1;
  std::uint64_t pause_ns = 0;
  std::size_t bytes = 64;
  Beside beside = Beside::nobody;

  std::string name() const {
    auto text = pairs == 1 ? std::string("1 pair") : fmt::format("{} pairs", pairs);
    if (pause_ns == 0) text += ", no pause";
    if (pause_ns != 0 && pause_ns < kMillisecond)
      text += fmt::format(", {} us pause", pause_ns / kMicrosecond);
    if (pause_ns >= kMillisecond) text += fmt::format(", {} ms pause", pause_ns / kMillisecond);
    if (beside == Beside::busy_stranger) text += ", beside a busy stranger";
    if (beside == Beside::spinning_pair) text += ", beside a spinning pair";
    return text;
  }
};

void sleep_until_ns(std::uint64_t due) {
  if (const auto now = monotonic_ns(); now < due)
    std::this_thread::sleep_for(std::chrono::nanoseconds(due - now));
}

/// Threads whose first exception comes out of join().
class Threads {
 public:
  template <class Body>
  void start(Body body) {
    threads_.emplace_back([this, body = std::move(body)] {
      try {
        body();
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!problem_) problem_ = std::current_exception();
      }
    });
  }
  void join() {
    threads_.clear();
    if (problem_) std::rethrow_exception(problem_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr problem_;
  std::vector<std::jthread> threads_;
};

/// When the measured stretch is, in monotonic nanoseconds.
struct Stretch {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
};

struct CrowdResult {
  Stretch stretch;
  Histogram round_trips;
  std::uint64_t client_cpu_ns = 0;
  std::uint64_t server_cpu_ns = 0;
};

template <class End>
void run_client(End& end, const Crowd& crowd, const Stretch& stretch, Histogram& result) {
  const auto& clock = bench_clock();
  Source source(crowd.bytes);
  Checker checker(crowd.bytes);
  for (bool last = false; !last;) {
    if (crowd.pause_ns != 0) std::this_thread::sleep_for(std::chrono::nanoseconds(crowd.pause_ns));
    const auto now = monotonic_ns();
    last = now >= stretch.to;
    const auto message = source.next(last ? kLastFlag : 0);
    const auto start = clock.ticks();
    end.send(message);
    end.receive([&](Bytes answer) { checker.check(answer); });
    if (now >= stretch.from && !last) result.record(clock.to_ns(clock.ticks() - start));
  }
}

/// Sleeps until the stretch has passed. Returns the CPU time that this process used in it.
std::uint64_t cpu_in(const Stretch& stretch) {
  sleep_until_ns(stretch.from);
  const auto before = cpu_ns();
  sleep_until_ns(stretch.to);
  return cpu_ns() - before;
}

/// One side of the crowd: its ends are opened by one thread; `clients(threads, ends)` starts the first side's threads.
template <class C, class Clients>
void run_side(Side side, std::vector<std::unique_ptr<C>>& channels, const Crowd& crowd, const RunPlan& plan,
              Meeting& meeting, CrowdResult& result, Clients clients) {
  using End = decltype(channels[0]->open(side));
  std::vector<End> ends;
  for (auto& channel : channels) ends.push_back(channel->open(side));
  if (side == Side::first) {
    result.stretch.from = monotonic_ns() + plan.warm_up_ns + kMillisecond;
    result.stretch.to = result.stretch.from + plan.measured_ns;
  }
  meeting.arrive_and_wait();
  Threads threads;
  if (side == Side::first) {
    clients(threads, ends);
    result.client_cpu_ns = cpu_in(result.stretch);
  } else {
    for (auto& end : ends) threads.start([&end, &crowd] { pong(end, crowd.bytes); });
    result.server_cpu_ns = cpu_in(result.stretch);
  }
  threads.join();
  meeting.arrive_and_wait();  // neither closes while the other may still read
}

Metrics metrics_of(const CrowdResult& result, const RunPlan& plan) {
  const auto seconds = static_cast<double>(plan.measured_ns) / 1e9;
  const auto ns = [&](double percent) { return static_cast<double>(result.round_trips.percentile(percent)); };
  return {{"rate", static_cast<double>(result.round_trips.count()) / seconds, "msg/s", Better::higher},
          {"p50", ns(50), "ns"},
          {"p99", ns(99), "ns"},
          {"CPU of both", static_cast<double>(result.client_cpu_ns + result.server_cpu_ns) / 1e9 / seconds,
           "CPUs"}};
}

/// A process that does something until it goes out of scope.
class Neighbour {
 public:
  explicit Neighbour(const std::function<void(Side)>& body) : child_(Side::first, kAnyCore, body, *error_) {}

 private:
  Shared<ErrorText> error_;
  Child child_;
};

[[noreturn]] void compute_for_ever() {
  volatile std::uint64_t sum = 0;
  for (;;) sum = sum * 3 + 1;
}

/// Both ends of a spinning pair, for ever.
std::vector<std::unique_ptr<Neighbour>> spinning_pair() {
  ChannelOptions options;
  auto channel = std::make_shared<Ports>(options);
  std::vector<std::unique_ptr<Neighbour>> neighbours;
  neighbours.push_back(std::make_unique<Neighbour>([channel](Side) {
    auto end = channel->open(Side::first);
    Source source(64);
    for (;;) {
      end.send(source.next());
      end.receive([](Bytes) {});
    }
  }));
  neighbours.push_back(std::make_unique<Neighbour>([channel](Side) {
    auto end = channel->open(Side::second);
    pong(end, 64);
  }));
  return neighbours;
}

std::vector<std::unique_ptr<Neighbour>> neighbours_of(const Crowd& crowd) {
  std::vector<std::unique_ptr<Neighbour>> neighbours;
  if (crowd.beside == Beside::busy_stranger)
    neighbours.push_back(std::make_unique<Neighbour>([](Side) { compute_for_ever(); }));
  if (crowd.beside == Beside::spinning_pair) return spinning_pair();
  return neighbours;
}

/// Two processes with a channel a pair, made before the fork. `clients(threads, ends, stretch, histograms)` starts the
/// threads of the first one.
template <class C, class Clients>
Metrics measure_pairs(const Crowd& crowd, Wait wait, const RunPlan& plan, Clients clients) {
  bench_clock();
  ChannelOptions options;
  options.message_bytes = crowd.bytes;
  options.first = options.second = wait;
  std::vector<std::unique_ptr<C>> channels;
  for (unsigned i = 0; i < crowd.pairs; ++i) channels.push_back(std::make_unique<C>(options));
  const Shared<CrowdResult> result;
  const Shared<Meeting> meeting;
  const auto neighbours = neighbours_of(crowd);
  run_pair({kAnyCore, kAnyCore}, kRunDeadline, [&](Side side) {
    std::vector<Histogram> histograms(crowd.pairs);
    run_side(side, channels, crowd, plan, *meeting, *result,
             [&](Threads& threads, auto& ends) { clients(threads, ends, result->stretch, histograms); });
    if (side == Side::first)
      for (const auto& one : histograms) result->round_trips.add(one);
  });
  return metrics_of(*result, plan);
}

template <class C>
Metrics measure_crowd(const Crowd& crowd, Wait wait, const RunPlan& plan) {
  return measure_pairs<C>(crowd, wait, plan,
                          [&](Threads& threads, auto& ends, const Stretch& stretch, auto& histograms) {
                            for (std::size_t i = 0; i < ends.size(); ++i)
                              threads.start([&, i] { run_client(ends[i], crowd, stretch, histograms[i]); });
                          });
}

/// Hands a request to each worker, then collects the answers.
template <class End>
void run_host(std::vector<End>& ends, const Crowd& crowd, const Stretch& stretch,
              std::vector<Histogram>& results) {
  const auto& clock = bench_clock();
  std::vector<Source> sources(ends.size(), Source(crowd.bytes));
  std::vector<Checker> checkers(ends.size(), Checker(crowd.bytes));
  std::vector<std::uint64_t> started(ends.size());
  for (bool last = false; !last;) {
    const auto now = monotonic_ns();
    last = now >= stretch.to;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      const auto message = sources[i].next(last ? kLastFlag : 0);
      started[i] = clock.ticks();
      ends[i].send(message);
    }
    for (std::size_t i = 0; i < ends.size(); ++i) {
      ends[i].receive([&](Bytes answer) { checkers[i].check(answer); });
      if (now >= stretch.from && !last) results[i].record(clock.to_ns(clock.ticks() - started[i]));
    }
  }
}

/// One host thread and its workers.
template <class C>
Metrics measure_pool(const Crowd& crowd, Wait wait, const RunPlan& plan) {
  return measure_pairs<C>(crowd, wait, plan,
                          [&](Threads& threads, auto& ends, const Stretch& stretch, auto& histograms) {
                            threads.start([&] { run_host(ends, crowd, stretch, histograms); });
                          });
}

template <class Measure>
Group group_of(std::string name, const Crowd& crowd, Measure measure) {
  const auto subject = [&](std::string subject_name, auto channel, Wait wait) {
    return Subject{std::move(subject_name), "Unix stream socket",
                   [=](const Cores&, const RunPlan& plan) { return measure(channel, crowd, wait, plan); }};
  };
  Group group{.name = std::move(name), .size = crowd.bytes, .subjects = {}, .length = 5, .crowded = true};
  group.subjects = {
      subject("Unix stream socket", std::type_identity<StreamSocket>{}, Wait::sleep),
      subject("sluice, default strategy", std::type_identity<Ports>{}, Wait::adaptive),
      subject("sluice, sleeping", std::type_identity<Ports>{}, Wait::sleep),
  };
  // A crowd that spins measures nothing but the scheduler's time slices.
  if (crowd.pairs == 1 && crowd.beside == Beside::nobody)
    group.subjects.push_back(subject("sluice, spinning", std::type_identity<Ports>{}, Wait::spin));
  group.subjects[0].floor.clear();
  return group;
}

void add_all(Suite& suite) {
  const auto crowd = [&](const Crowd& one) {
    suite.add(group_of(one.name(), one, [](auto channel, const Crowd& of, Wait wait, const RunPlan& plan) {
      return measure_crowd<typename decltype(channel)::type>(of, wait, plan);
    }));
  };
  for (const std::size_t bytes : {std::size_t{64}, 64 * kKiB}) {
    for (const unsigned pairs : {1U, 2U, 4U, 8U, 20U, 50U}) {
      for (const std::uint64_t pause : {std::uint64_t{0}, 50 * kMicrosecond, kMillisecond, 10 * kMillisecond})
        crowd({.pairs = pairs, .pause_ns = pause, .bytes = bytes});
    }
  }
  for (const auto beside : {Beside::busy_stranger, Beside::spinning_pair}) {
    for (const unsigned pairs : {1U, 20U}) {
      for (const std::uint64_t pause : {std::uint64_t{0}, kMillisecond})
        crowd({.pairs = pairs, .pause_ns = pause, .beside = beside});
    }
  }
  suite.add(group_of("one host, 10 workers", {.pairs = 10},
                     [](auto channel, const Crowd& of, Wait wait, const RunPlan& plan) {
                       return measure_pool<typename decltype(channel)::type>(of, wait, plan);
                     }));
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Suite suite("bench_crowd", "how does a channel fare on a busy machine?");
  sluice::bench::add_all(suite);
  return suite.run(argc, argv);
}

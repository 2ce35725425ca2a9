// A sensor that measures 1,000 times a second, and two observers who don't want that much: one gets at most 20 values
// a second, the other one only what crosses a limit. What they don't get isn't sent.
//
//   build/release/bin/sensor measure 2 &          (for 2 seconds)
//   build/release/bin/sensor watch &              expected output:   about 40 of 2000 values, the last one 21.0
//   build/release/bin/sensor alarm                                   31.0 degrees
//                                                                    4 alarms
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <list>
#include <sluice/codec.hpp>
#include <sluice/ipc.hpp>
#include <string>
#include <string_view>
#include <thread>

namespace {

namespace codec = sluice::codec;
using namespace std::chrono_literals;

struct Reading {
  int number = 0;
  double degrees = 0;
  MSGPACK_DEFINE_MAP(number, degrees)
};

/// Rises above 30 degrees for the last quarter of every 500 readings.
double degrees_at(int number) {
  return number % 500 >= 375 ? 31 : 21;
}

void measure(int seconds) {
  codec::ObservableState<Reading> reading;
  codec::Registry registry;
  registry.actor("sensor").state("reading", reading);
  sluice::Listener listener = sluice::listen("sensor");
  std::list<codec::Peer> observers;
  for (int i = 0; i < 2; ++i) {
    observers.emplace_back(listener.accept(), codec::PeerOptions{.registry = &registry});
    observers.back().start();  // on a thread of its own
  }
  const int last = seconds * 1000;
  auto next = std::chrono::steady_clock::now();
  for (int number = 1; number <= last; ++number) {
    std::this_thread::sleep_until(next += 1ms);
    reading = Reading{number, number == last ? 21 : degrees_at(number)};
  }
  std::this_thread::sleep_for(100ms);  // a rate limit brings its last value in time
}

void watch() {
  codec::Peer peer(sluice::connect("sensor"));
  auto readings = peer.observe<Reading>("sensor", "reading", {.filter = codec::Filter::rate_limit(20)});
  int seen = 0;
  Reading last;
  for (const Reading& reading : readings) {
    ++seen;
    last = reading;
  }
  std::printf("about %d of %d values, the last one %.1f\n", (seen + 5) / 10 * 10, last.number, last.degrees);
}

void alarm() {
  codec::Peer peer(sluice::connect("sensor"));
  const auto hot = codec::Filter::threshold(30, {.field = "degrees", .mode = codec::ThresholdMode::crossing});
  auto alarms = peer.observe<Reading>("sensor", "reading", {.filter = hot});
  int count = 0;
  for (const Reading& reading : alarms) {
    if (++count == 1) std::printf("%.1f degrees\n", reading.degrees);
  }
  std::printf("%d alarms\n", count);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view role = argc >= 2 ? argv[1] : "";
  try {
    if (role == "measure" && argc == 3)
      return measure(static_cast<int>(std::strtol(argv[2], nullptr, 10))), 0;
    if (role == "watch") return watch(), 0;
    if (role == "alarm") return alarm(), 0;
    std::fprintf(stderr, "usage: sensor measure SECONDS | watch | alarm\n");
    return 2;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "sensor: %s\n", failure.what());
    return 1;
  }
}

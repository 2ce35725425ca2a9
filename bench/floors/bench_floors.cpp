// What the machine itself allows: the floors that every other figure is compared with.
#include <fmt/format.h>

#include "cache_line.hpp"
#include "copy.hpp"
#include "futex.hpp"
#include "harness/suite.hpp"
#include "inband_ring.hpp"
#include "slot_queue.hpp"
#include "textbook_queue.hpp"

namespace sluice::bench {
namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

ChannelOptions sized(std::size_t message_bytes, std::size_t ring_bytes = kMiB) {
  ChannelOptions options;
  options.message_bytes = message_bytes;
  options.ring_bytes = ring_bytes;
  return options;
}

template <class C>
Subject round_trip(std::string name, std::size_t bytes, std::string floor) {
  return {std::move(name), std::move(floor), [bytes](const Cores& cores, const RunPlan& plan) {
            return latency_metrics(measure_round_trip<C>(cores, sized(bytes), plan));
          }};
}

template <class C>
Subject one_way(std::string name, std::size_t bytes, std::size_t ring_bytes, std::string floor) {
  return {std::move(name), std::move(floor), [bytes, ring_bytes](const Cores& cores, const RunPlan& plan) {
            return rate_metrics(measure_one_way<C>(cores, sized(bytes, ring_bytes), plan).per_second());
          }};
}

Subject copying(std::size_t bytes, std::size_t ring_bytes) {
  return {"copy", "", [bytes, ring_bytes](const Cores& cores, const RunPlan& plan) {
            return rate_metrics(measure_copy(cores, sized(bytes, ring_bytes), plan));
          }};
}

Subject plain_memcpy(std::size_t bytes, std::size_t footprint_bytes) {
  return {fmt::format("memcpy over {} KiB", footprint_bytes / kKiB), "",
          [bytes, footprint_bytes](const Cores& cores, const RunPlan& plan) {
            return rate_metrics(measure_memcpy(cores, bytes, footprint_bytes, plan));
          }};
}

void add_round_trips(Suite& suite) {
  const Subject line{"cache line", "", [](const Cores& cores, const RunPlan& plan) {
                       return latency_metrics(measure_cache_line(cores, plan));
                     }};
  suite.add({"round trip, spin",
             kSlotPayloadBytes,
             {line, round_trip<SlotQueue<Polling::eager>>("slot queue", kSlotPayloadBytes, "cache line"),
              round_trip<InbandRing<Polling::eager>>("in-band ring", kSlotPayloadBytes, "cache line")}});
  for (const std::size_t bytes : {std::size_t{64}, kKiB, 64 * kKiB}) {
    suite.add({"round trip, spin",
               bytes,
               {line, round_trip<InbandRing<Polling::eager>>("in-band ring", bytes, "cache line")}});
  }
  suite.add({"round trip, sleep", 4, {{"futex", "", [](const Cores& cores, const RunPlan& plan) {
                                         return latency_metrics(measure_futex(cores, plan));
                                       }}}});
}

void add_streams(Suite& suite) {
  using EagerRing = InbandRing<Polling::eager>;
  using BackedOffRing = InbandRing<Polling::backed_off>;
  suite.add({"one way",
             kSlotPayloadBytes,
             {one_way<SlotQueue<Polling::backed_off>>("slot queue", kSlotPayloadBytes, kMiB, ""),
              one_way<SlotQueue<Polling::eager>>("slot queue, eager", kSlotPayloadBytes, kMiB, "slot queue"),
              one_way<BackedOffRing>("in-band ring", kSlotPayloadBytes, kMiB, "slot queue")}});
  suite.add({"one way",
             kTextbookPayloadBytes,
             {one_way<TextbookQueue>("textbook queue", kTextbookPayloadBytes, kMiB, ""),
              one_way<EagerRing>("in-band ring, eager", kTextbookPayloadBytes, kMiB, "textbook queue"),
              one_way<BackedOffRing>("in-band ring", kTextbookPayloadBytes, kMiB, "textbook queue")}});
  struct Bulk {
    std::size_t bytes;
    std::size_t ring_bytes;
  };
  for (const auto& [bytes, ring_bytes] :
       {Bulk{kKiB, kMiB}, Bulk{64 * kKiB, 4 * kMiB}, Bulk{kMiB, 16 * kMiB}}) {
    suite.add({fmt::format("one way, {} MiB ring", ring_bytes / kMiB),
               bytes,
               {copying(bytes, ring_bytes), one_way<EagerRing>("in-band ring", bytes, ring_bytes, "copy"),
                plain_memcpy(bytes, bytes), plain_memcpy(bytes, ring_bytes)}});
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Suite suite("bench_floors", "what does the machine itself allow between two processes?");
  sluice::bench::add_round_trips(suite);
  sluice::bench::add_streams(suite);
  return suite.run(argc, argv);
}

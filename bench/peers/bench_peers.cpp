// The same questions asked of what Debian's packages offer, next to the same floors.
#include <fmt/format.h>

#include <array>
#include <string>
#include <utility>

#include "boost_queue.hpp"
#include "floors/cache_line.hpp"
#include "floors/copy.hpp"
#include "floors/futex.hpp"
#include "floors/inband_ring.hpp"
#include "floors/slot_queue.hpp"
#include "harness/suite.hpp"
#include "kernel_pipes.hpp"

#ifdef SLUICE_PEER_QB
#include "qb_ring.hpp"
#endif
#ifdef SLUICE_PEER_ZMQ
#include "zeromq.hpp"
#endif
#ifdef SLUICE_PEER_NNG
#include "nng_pair.hpp"
#endif
#ifdef SLUICE_PEER_ICEORYX
#include "iceoryx_pair.hpp"
#endif

namespace sluice::bench {
namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

ChannelOptions options_for(std::size_t bytes, Wait wait) {
  ChannelOptions options;
  options.message_bytes = bytes;
  options.ring_bytes = bytes < 64 * kKiB ? kMiB : bytes < kMiB ? 4 * kMiB : 16 * kMiB;
  options.first = options.second = wait;
  return options;
}

/// The floor of a round trip and the peers next to it.
Group round_trips(std::size_t bytes, Wait wait) {
  if (wait == Wait::sleep) {
    return {"round trip, sleep", bytes, {{"futex", "", [](const Cores& cores, const RunPlan& plan) {
                                            return latency_metrics(measure_futex(cores, plan));
                                          }}}};
  }
  if (bytes < kKiB) {
    return {"round trip, spin", bytes, {{"cache line", "", [](const Cores& cores, const RunPlan& plan) {
                                           return latency_metrics(measure_cache_line(cores, plan));
                                         }}}};
  }
  return {
      "round trip, spin", bytes, {{"in-band ring", "", [bytes](const Cores& cores, const RunPlan& plan) {
                                     return latency_metrics(measure_round_trip<InbandRing<Polling::eager>>(
                                         cores, options_for(bytes, Wait::spin), plan));
                                   }}}};
}

Group streams(std::size_t bytes) {
  if (bytes < kKiB) {
    return {"one way",
            bytes,
            {{"slot queue", "", [](const Cores& cores, const RunPlan& plan) {
                const auto options = options_for(kSlotPayloadBytes, Wait::spin);
                return rate_metrics(
                    measure_one_way<SlotQueue<Polling::backed_off>>(cores, options, plan).per_second());
              }}}};
  }
  return {
      "one way", bytes, {{"copy", "", [bytes](const Cores& cores, const RunPlan& plan) {
                            return rate_metrics(measure_copy(cores, options_for(bytes, Wait::spin), plan));
                          }}}};
}

/// `streaming`: how the ends wait in one-way runs; peers with threads of their own must leave them the
/// processors.
template <class C>
void add_peer(std::vector<Group>& trips, std::vector<Group>& ways, const std::string& name,
              Wait streaming = Wait::spin) {
  for (auto& group : trips) {
    const auto options = options_for(group.size, group.name.ends_with("sleep") ? Wait::sleep : Wait::spin);
    group.subjects.push_back(
        {name, group.subjects.front().name, [options](const Cores& cores, const RunPlan& plan) {
           return latency_metrics(measure_round_trip<C>(cores, options, plan));
         }});
  }
  for (auto& group : ways) {
    const auto options = options_for(group.size, streaming);
    group.subjects.push_back(
        {name, group.subjects.front().name, [options](const Cores& cores, const RunPlan& plan) {
           return rate_metrics(measure_one_way<C>(cores, options, plan).per_second());
         }});
  }
}

void add_all(Suite& suite) {
  std::vector<Group> trips;
  for (const auto bytes : {std::size_t{64}, kKiB, 64 * kKiB}) trips.push_back(round_trips(bytes, Wait::spin));
  trips.push_back(round_trips(64, Wait::sleep));
  std::vector<Group> ways;
  for (const auto bytes : {std::size_t{64}, kKiB, 64 * kKiB, kMiB}) ways.push_back(streams(bytes));

#ifdef SLUICE_PEER_QB
  add_peer<QbRing>(trips, ways, "libqb");
#else
  suite.skip("libqb", "not found at configuration (libqb-dev)");
#endif
#ifdef SLUICE_PEER_ICEORYX
  add_peer<IceoryxPair>(trips, ways, "iceoryx");
#else
  suite.skip("iceoryx", "not found at configuration (libiceoryx-posh-dev, iceoryx)");
#endif
  add_peer<BoostQueue>(trips, ways, "boost message_queue");
  add_peer<StreamSocket>(trips, ways, "unix stream");
  add_peer<SeqpacketSocket>(trips, ways, "unix seqpacket");
  add_peer<Pipes>(trips, ways, "pipe");
#ifdef SLUICE_PEER_ZMQ
  add_peer<ZeroMq>(trips, ways, "zeromq ipc", Wait::sleep);
#else
  suite.skip("zeromq", "not found at configuration (libzmq3-dev)");
#endif
#ifdef SLUICE_PEER_NNG
  add_peer<NngPair>(trips, ways, "nng ipc", Wait::sleep);
#else
  suite.skip("nng", "not found at configuration (libnng-dev)");
#endif
  for (auto* const groups : {&trips, &ways}) {
    for (auto& group : *groups) {
      group.crowded = true;  // some peers bring threads and daemons of their own
      suite.add(std::move(group));
    }
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Suite suite("bench_peers",
                             "how fast are the channels that Debian's packages offer, by the same loops?");
  sluice::bench::add_all(suite);
  return suite.run(argc, argv);
}

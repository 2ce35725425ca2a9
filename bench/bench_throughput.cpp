// How many messages go one way in a second?
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "floors/copy.hpp"
#include "floors/inband_ring.hpp"
#include "floors/slot_queue.hpp"
#include "floors/textbook_queue.hpp"
#include "harness/suite.hpp"
#include "sluice_channel.hpp"

namespace sluice::bench {
namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;
constexpr unsigned kBatch = 32;

/// A message size and the ring it is sent through.
struct Load {
  std::size_t bytes;
  std::size_t ring_bytes = kMiB;
};

ChannelOptions options_for(const Load& load, Wait wait = Wait::spin, unsigned batch = 1) {
  ChannelOptions options;
  options.message_bytes = load.bytes;
  options.ring_bytes = load.ring_bytes;
  options.first = options.second = wait;
  options.batch = batch;
  return options;
}

template <class C>
Subject copied(std::string name, std::string floor, const ChannelOptions& options) {
  return {std::move(name), std::move(floor), [options](const Cores& cores, const RunPlan& plan) {
            return rate_metrics(measure_one_way<C>(cores, options, plan).per_second());
          }};
}

template <class C>
Subject in_place(std::string name, std::string floor, const ChannelOptions& options) {
  return {std::move(name), std::move(floor), [options](const Cores& cores, const RunPlan& plan) {
            return rate_metrics(measure_in_place<C>(cores, options, plan).per_second());
          }};
}

template <class C>
Subject generated_then_copied(std::string name, std::string floor, const ChannelOptions& options) {
  return {std::move(name), std::move(floor), [options](const Cores& cores, const RunPlan& plan) {
            return rate_metrics(measure_generated<C>(cores, options, plan).per_second());
          }};
}

/// sluice in all its forms next to `floor`.
void add_sluice(Group& group, const std::string& floor, const Load& load) {
  group.subjects.push_back(copied<Ports>("sluice", floor, options_for(load)));
  group.subjects.push_back(copied<HandlerPorts>("sluice, on_message", "sluice", options_for(load)));
  group.subjects.push_back(
      copied<Ports>("sluice, default strategy", "sluice", options_for(load, Wait::adaptive)));
  if (load.bytes <= kKiB) {
    group.subjects.push_back(
        copied<Ports>("sluice, batches of 32", floor, options_for(load, Wait::spin, kBatch)));
  }
}

void add_small(Suite& suite) {
  const auto slots = options_for({kSlotPayloadBytes});
  const auto textbook = options_for({kTextbookPayloadBytes});
  for (const std::size_t bytes : {16U, 56U, 64U, 256U}) {
    const Load load{bytes};
    Group group{"one way", bytes, {}};
    group.subjects.push_back(copied<SlotQueue<Polling::backed_off>>("slot queue", "", slots));
    group.subjects.push_back(copied<TextbookQueue>("textbook queue", "slot queue", textbook));
    group.subjects.push_back(
        copied<InbandRing<Polling::backed_off>>("in-band ring", "slot queue", options_for(load)));
    add_sluice(group, "slot queue", load);
    suite.add(std::move(group));
  }
}

void add_bulk(Suite& suite) {
  for (const auto& load :
       {Load{kKiB}, Load{4 * kKiB}, Load{64 * kKiB}, Load{64 * kKiB, 4 * kMiB}, Load{kMiB, 16 * kMiB}}) {
    Group group{fmt::format("one way, {} MiB ring", load.ring_bytes / kMiB), load.bytes, {}};
    group.subjects.push_back({"copy", "", [load](const Cores& cores, const RunPlan& plan) {
                                return rate_metrics(measure_copy(cores, options_for(load), plan));
                              }});
    using Ring = InbandRing<Polling::backed_off>;
    group.subjects.push_back(copied<Ring>("in-band ring", "copy", options_for(load)));
    add_sluice(group, "copy", load);
    suite.add(std::move(group));
  }
}

void add_in_place(Suite& suite) {
  for (const auto& load : {Load{64}, Load{kKiB}, Load{64 * kKiB, 4 * kMiB}}) {
    suite.add(
        {"one way, produced by computing",
         load.bytes,
         {generated_then_copied<Ports>("sluice, computed and copied", "", options_for(load)),
          in_place<Ports>("sluice, claim and commit", "sluice, computed and copied", options_for(load))}});
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Suite suite("bench_throughput", "how many messages go one way in a second?");
  sluice::bench::add_small(suite);
  sluice::bench::add_bulk(suite);
  sluice::bench::add_in_place(suite);
  return suite.run(argc, argv);
}

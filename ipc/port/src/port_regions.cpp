#include "port_regions.hpp"

#include <string>

#include "sluice/base/detail/random_bytes.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ring/detail/barrier.hpp"
#include "sluice/ring/error.hpp"

namespace sluice::ipc {
namespace {

constexpr std::uint32_t kMaxSpinPolls = 1'000'000;

}  // namespace

void check_port_options(const PortOptions& options) {
  if (options.wait.spin_polls > kMaxSpinPolls) {
    throw error(errc::bad_option, "spin_polls: expected at most " + std::to_string(kMaxSpinPolls) + ", got " +
                                      std::to_string(options.wait.spin_polls));
  }
  ring::check_region_sizes(options.ring_bytes, options.replay_window_bytes.value_or(options.ring_bytes / 4));
}

SessionInfo new_session() {
  SessionInfo session{.id = {}, .epoch = 1};
  base::fill_random(session.id, "a session id");
  return session;
}

/// A side that always sleeps would pay for a membarrier at each sleep; it leaves the publisher its full
/// barrier instead.
std::uint32_t features(const WaitOptions& wait) {
  if (!ring::register_barrier_target()) return 0;
  std::uint32_t set = ring::kFeatureBarrierTarget;
  if (wait.strategy != WaitStrategy::sleep) set |= ring::kFeatureBarrierSleeper;
  return set;
}

ring::OwnedRegion make_region(const PortOptions& options, const SessionInfo& session,
                              const std::filesystem::path& file) {
  ring::RegionOptions region;
  region.capacity = options.ring_bytes;
  region.replay_window = options.replay_window_bytes.value_or(options.ring_bytes / 4);
  region.session = session.id;
  region.epoch = session.epoch;
  region.features = features(options.wait);
  region.file = file;
  return ring::OwnedRegion::create(region);
}

void check_new_ring(const ring::RegionHeader& header) {
  if (header.first_position == 0 && header.first_sequence == 1) return;
  throw error(ring::errc::bad_region,
              "the peer's region: expected a new ring at position 0, record 1; got position " +
                  std::to_string(header.first_position) + ", record " +
                  std::to_string(header.first_sequence));
}

}  // namespace sluice::ipc

#include "port_regions.hpp"

#include <string>

#include "sluice/base/detail/random_bytes.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ring/detail/barrier.hpp"
#include "sluice/ring/error.hpp"

namespace sluice::ipc {
namespace {

constexpr Duration kMostSpinning = std::chrono::seconds(1);

std::uint32_t features() {
  return ring::register_barrier_target() ? ring::kFeatureBarrierTarget | ring::kFeatureBarrierSleeper : 0;
}

}  // namespace

void check_port_options(const PortOptions& options) {
  if (const Duration spin = options.wait.longest_spin; spin < Duration::zero() || spin > kMostSpinning) {
    throw error(errc::bad_option, "longest_spin: expected 0 to " + std::to_string(kMostSpinning.count()) +
                                      " ns, got " + std::to_string(spin.count()) + " ns");
  }
  ring::check_region_sizes(options.ring_bytes, options.replay_window_bytes.value_or(options.ring_bytes / 4));
}

SessionInfo new_session() {
  SessionInfo session{.id = {}, .epoch = 1};
  base::fill_random(session.id, "a session id");
  return session;
}

ring::RegionOptions region_options(const PortOptions& options, const SessionInfo& session) {
  ring::RegionOptions region;
  region.capacity = options.ring_bytes;
  region.replay_window = options.replay_window_bytes.value_or(options.ring_bytes / 4);
  region.session = session.id;
  region.epoch = session.epoch;
  region.features = features();
  return region;
}

void check_new_ring(const ring::RegionHeader& header) {
  if (header.first_position == 0 && header.first_sequence == 1) return;
  throw error(ring::errc::bad_region,
              "the peer's region: expected a new ring at position 0, record 1; got position " +
                  std::to_string(header.first_position) + ", record " +
                  std::to_string(header.first_sequence));
}

}  // namespace sluice::ipc

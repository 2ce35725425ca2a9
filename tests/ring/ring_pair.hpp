// Two regions and the four ends on them, in every arrangement that the contract tests need.
#pragma once

#include <fcntl.h>

#include <cstdint>
#include <memory>

#include "sluice/ring/consumer.hpp"
#include "sluice/ring/producer.hpp"
#include "sluice/ring/region.hpp"

namespace sluice::ring::testing {

struct PairOptions {
  std::uint64_t capacity = 4096;
  std::uint64_t replay_window = 0;
  Position first_position = 0;
  Sequence first_sequence = 1;
  std::uint32_t features = 0;
  WaitOptions wait{};
};

/// Region A carries the records that the tests send; region B only A's consumer's answers.
class RingPair {
 public:
  explicit RingPair(const PairOptions& options)
      : options_(options),
        a_(OwnedRegion::create(region_options(true))),
        b_(OwnedRegion::create(region_options(false))) {
    a_seen_ = std::make_unique<PeerRegion>(open(a_));
    b_seen_ = std::make_unique<PeerRegion>(open(b_));
  }

  const OwnView& a() const { return a_.view(); }
  const OwnView& b() const { return b_.view(); }
  /// The read-only second mapping of each region.
  const PeerView& a_seen() const { return a_seen_->view(); }
  const PeerView& b_seen() const { return b_seen_->view(); }
  int a_descriptor() const { return a_.descriptor(); }

  /// Ends that see each other through read-only mappings of their own.
  std::unique_ptr<Producer> producer() const {
    return std::make_unique<Producer>(a(), b_seen(), options_.wait);
  }
  std::unique_ptr<Consumer> consumer() const {
    return std::make_unique<Consumer>(b(), a_seen(), options_.wait);
  }

  /// Ends that share one mapping, for ThreadSanitizer.
  std::unique_ptr<Producer> same_mapping_producer() const {
    return std::make_unique<Producer>(a(), b(), options_.wait);
  }
  std::unique_ptr<Consumer> same_mapping_consumer() const {
    return std::make_unique<Consumer>(b(), a(), options_.wait);
  }

 private:
  RegionOptions region_options(bool is_a) const {
    RegionOptions region;
    region.capacity = options_.capacity;
    region.replay_window = options_.replay_window;
    region.features = options_.features;
    region.first_position = is_a ? options_.first_position : 0;
    region.first_sequence = is_a ? options_.first_sequence : 1;
    region.peer_first_position = is_a ? 0 : options_.first_position;
    return region;
  }

  static PeerRegion open(const OwnedRegion& region) {
    return PeerRegion::open(Descriptor(::fcntl(region.descriptor(), F_DUPFD_CLOEXEC, 0)), SessionId{}, 0);
  }

  PairOptions options_;
  OwnedRegion a_;
  OwnedRegion b_;
  std::unique_ptr<PeerRegion> a_seen_;
  std::unique_ptr<PeerRegion> b_seen_;
};

}  // namespace sluice::ring::testing

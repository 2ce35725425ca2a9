// The deltas to one value. A thousand streams of a state have the same values, and share what is between them.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#pragma GCC visibility push(default)

namespace sluice::codec {

class PackedValue;
using SharedValue = std::shared_ptr<const PackedValue>;

}  // namespace sluice::codec

namespace sluice::codec::detail {

/// A delta's bytes: none if the two values have the same bytes; null if the full value is what to send.
using SharedDelta = std::shared_ptr<const std::vector<std::byte>>;

/// Belongs to the newer value, and doesn't keep the older ones alive. Thread-safety: any number of threads.
class DeltaCache {
 public:
  /// The delta from `base` to the packed value `to`, which this belongs to. Makes it if nobody asked before; others
  /// who ask meanwhile wait for it. Throws std::bad_alloc.
  SharedDelta from(const SharedValue& base, std::span<const std::byte> to);

  /// The type's own delta, if there is one: see keep_own_delta().
  SharedDelta own_from(const SharedValue& base) const;
  void keep_own(const SharedValue& base, std::vector<std::byte> delta);

 private:
  struct Made {
    std::weak_ptr<const PackedValue> base;
    SharedDelta delta;
    bool is_of(const SharedValue& value) const noexcept {
      return !base.owner_before(value) && !value.owner_before(base);
    }
  };

  mutable std::mutex mutex_;  // guards what follows
  std::vector<Made>
      made_;              // the newest ones: most streams have sent the value before, slow ones an older one
  std::size_t next_ = 0;  // in made_, to be replaced
  Made own_;
};

}  // namespace sluice::codec::detail

#pragma GCC visibility pop

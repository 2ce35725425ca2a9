#include "sluice/codec/detail/delta_cache.hpp"

#include <algorithm>
#include <utility>

#include "packed_walk.hpp"
#include "sluice/codec/delta.hpp"
#include "sluice/codec/packed_value.hpp"

namespace sluice::codec::detail {
namespace {

constexpr std::size_t kMostMade = 8;

SharedDelta make(std::span<const std::byte> from, std::span<const std::byte> to) {
  std::optional<std::vector<std::byte>> delta;
  if (same_bytes(from, to)) {
    delta.emplace();
  } else {
    delta = make_delta(from, to);
  }
  return delta ? std::make_shared<const std::vector<std::byte>>(*std::move(delta)) : nullptr;
}

}  // namespace

SharedDelta DeltaCache::from(const SharedValue& base, std::span<const std::byte> to) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(made_, [&](const Made& made) { return made.is_of(base); });
  if (found != made_.end()) return found->delta;
  Made made{base, make(base->bytes(), to)};
  if (made_.size() < kMostMade) return made_.emplace_back(std::move(made)).delta;
  next_ = (next_ + 1) % kMostMade;
  return (made_[next_] = std::move(made)).delta;
}

SharedDelta DeltaCache::own_from(const SharedValue& base) const {
  const std::lock_guard lock(mutex_);
  return own_.is_of(base) ? own_.delta : nullptr;
}

void DeltaCache::keep_own(const SharedValue& base, std::vector<std::byte> delta) {
  Made own{base, std::make_shared<const std::vector<std::byte>>(std::move(delta))};
  const std::lock_guard lock(mutex_);
  own_ = std::move(own);
}

}  // namespace sluice::codec::detail

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "checkpoint_rules.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/checkpoint/checkpoint.hpp"

namespace sluice {

using std::chrono::nanoseconds;

MemoryCheckpoints::MemoryCheckpoints(CheckpointOptions options, std::size_t max_count)
    : options_(std::move(options)), max_count_(max_count) {
  ipc::check_checkpoint_options(options_);
  if (max_count_ == 0) throw error(errc::bad_option, "checkpoint count: expected at least 1, got 0");
}

void MemoryCheckpoints::store(std::string_view key, const StreamCheckpoint& checkpoint) {
  owner_.check("checkpoints in memory");
  ipc::check_checkpoint_key(key);
  ipc::check_checkpoint(checkpoint);
  const CheckpointMoment now = options_.clock();
  Entry entry{checkpoint, ipc::wall_age(checkpoint.time, now.wall), now.since_boot};
  const std::lock_guard lock(mutex_);
  if (const auto place = entries_.find(key); place != entries_.end()) {
    place->second = std::move(entry);
    return;
  }
  if (entries_.size() >= max_count_)
    std::erase_if(entries_, [this](const auto& item) { return age_of(item.second) >= options_.expiry; });
  if (entries_.size() >= max_count_) {
    throw_errno(ENOSPC, "storing the checkpoint \"" + std::string(key) + "\": all " +
                            std::to_string(max_count_) + " places hold checkpoints that haven't expired");
  }
  entries_.emplace(key, std::move(entry));
}

LoadedCheckpoint MemoryCheckpoints::load(std::string_view key) const {
  owner_.check("checkpoints in memory");
  ipc::check_checkpoint_key(key);
  const std::lock_guard lock(mutex_);
  const auto place = entries_.find(key);
  if (place == entries_.end()) return {};
  return ipc::judge_checkpoint(place->second.checkpoint, age_of(place->second), options_.expiry);
}

bool MemoryCheckpoints::remove(std::string_view key) {
  owner_.check("checkpoints in memory");
  ipc::check_checkpoint_key(key);
  const std::lock_guard lock(mutex_);
  const auto place = entries_.find(key);
  if (place == entries_.end()) return false;
  entries_.erase(place);
  return true;
}

nanoseconds MemoryCheckpoints::age_of(const Entry& entry) const {
  const nanoseconds since_stored = options_.clock().since_boot - entry.since_boot;
  return ipc::saturated_sum(entry.age, std::max(since_stored, nanoseconds::zero()));
}

}  // namespace sluice

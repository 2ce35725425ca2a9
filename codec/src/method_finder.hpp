// From the names in a frame to the method that they mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <vector>

#include "bad_frame.hpp"
#include "registry_state.hpp"
#include "sluice/codec/frame_io.hpp"

namespace sluice::codec {

/// Remembers what it found last, which the next frame may well name again. Thread-safety: one thread.
class MethodFinder {
 public:
  /// The method that the next two items of the frame name. Null if there is none: `why` says so. Valid until the next
  /// call of this. Throws BadFrame.
  detail::Method* find(const detail::RegistryState& registry, FrameReader& frame, RemoteCode& why) {
    // Acquire pairs with the release in RegistryState::change.
    const auto generation = registry.generation.load(std::memory_order_acquire);
    if (generation == generation_ && found_ != nullptr && frame.skip(names_)) return found_;
    found_ = nullptr;
    table_ = registry.table();
    generation_ = generation;
    const auto names = frame.rest();
    const Target target = read_target(frame, "a call of another form");
    why = RemoteCode::no_such_actor;
    const auto members = table_->actors.find(target.actor);
    if (members == table_->actors.end()) return nullptr;
    why = RemoteCode::no_such_member;
    const auto found = members->second.methods.find(target.member);
    if (found == members->second.methods.end()) return nullptr;
    names_.assign(names.begin(), names.end() - std::ssize(frame.rest()));
    return found_ = found->second.get();
  }

 private:
  std::shared_ptr<const detail::ActorTable> table_;  // keeps the method
  std::uint64_t generation_ = 0;
  std::vector<std::byte> names_;  // as they came
  detail::Method* found_ = nullptr;
};

}  // namespace sluice::codec

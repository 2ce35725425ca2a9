// The calls of one peer that wait for their answers.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "sluice/codec/decoder.hpp"
#include "sluice/codec/detail/peer_core.hpp"
#include "sluice/codec/frame.hpp"

namespace sluice::codec::detail {

/// Has the call decode its value; its failure tells what was wrong with it.
void take_answer(PendingCall& call, std::span<const std::byte> value, Decoder& decoder) noexcept;

/// A call's id is the table's random prefix, then the number of its place and how often that was used before. So an
/// answer finds its call without a search, and one that comes late or was made up finds none.
///
/// Guarded by the peer's lock, which every function takes as it was locked by the caller.
class CallTable {
 public:
  using Lock = std::unique_lock<std::mutex>;

  /// `most`: calls at a time.
  explicit CallTable(std::size_t most);

  bool full() const noexcept { return in_flight_ == most_; }
  Id add(PendingCall& call, Lock& lock);
  static bool done(const PendingCall& call) noexcept { return call.done_; }

  /// Has the call of that id decode its value (with the lock released meanwhile). False if there is none.
  bool complete(const Id& id, std::span<const std::byte> value, Decoder& decoder, Lock& lock);
  bool fail(const Id& id, const CallFailure& failure, Lock& lock);
  void fail_all(const CallFailure& failure, Lock& lock);

  /// Takes the call out; waits if it decodes its value in another thread. Returns whether it was in flight, with its
  /// id.
  bool remove(PendingCall& call, Id& id, Lock& lock);
  /// From now on the table owns the call, and tells it when it is done: at once if it is.
  void own(std::unique_ptr<PendingCall> call, Lock& lock);

 private:
  struct Place {
    std::uint32_t uses = 0;
    PendingCall* call = nullptr;
  };
  static constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

  PendingCall* find(const Id& id) noexcept;
  Id id_of(std::uint64_t place) const noexcept;
  void leave(PendingCall& call) noexcept;
  void end(PendingCall& call, Lock& lock);

  const std::size_t most_;
  const Id prefix_ = random_id();
  std::vector<Place> places_;
  std::vector<std::uint32_t> free_;
  std::size_t in_flight_ = 0;
  std::condition_variable taken_;  // being_taken_ has become false
};

}  // namespace sluice::codec::detail

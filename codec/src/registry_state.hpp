// What a registry and the peers that serve it share.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "served_stream.hpp"
#include "sluice/base/deadline.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/codec/frame.hpp"
#include "sluice/codec/registry.hpp"

namespace sluice::codec::detail {

/// The streams of all peers of a registry, those of clients that are gone, too. Thread-safety: any thread. Its lock
/// comes before a hub's.
class StreamKeeper {
 public:
  explicit StreamKeeper(std::size_t most_retained) : most_retained_(most_retained) {}

  /// False if there is a stream of that id.
  bool add(const std::shared_ptr<ServedStream>& stream);
  std::shared_ptr<ServedStream> find(const Id& id) const;
  /// Nothing if another one has its id now.
  void forget(const ServedStream& stream) noexcept;
  /// The stream was detached from this link, and may be resumed for its retention time.
  void retain(const std::shared_ptr<ServedStream>& stream) noexcept;
  void end_actor(std::string_view actor) noexcept;

 private:
  struct Gone {
    std::shared_ptr<ServedStream> stream;
    Deadline since;
  };

  const std::size_t most_retained_;
  mutable std::mutex mutex_;
  std::map<Id, std::shared_ptr<ServedStream>> streams_;
  std::deque<Gone> gone_;  // in the order of their detaching; a stream that came back may still be in here
};

/// Actors, by name. Never changes: a change makes a new one.
struct ActorTable {
  struct Members {
    std::map<std::string, std::shared_ptr<Method>, std::less<>> methods{};
    std::map<std::string, std::shared_ptr<StateHub>, std::less<>> states{};
  };
  std::map<std::string, Members, std::less<>> actors{};
};

struct RegistryState {
  explicit RegistryState(const RegistryOptions& options) : streams(options.max_retained_streams) {}

  /// The present table. Any thread.
  std::shared_ptr<const ActorTable> table() const {
    const std::lock_guard lock(mutex);
    return actors;
  }
  /// Replaces the table by a copy that `change` has changed.
  template <typename Change>
  void change(Change change) {
    const std::lock_guard lock(mutex);
    auto next = std::make_shared<ActorTable>(*actors);
    change(*next);
    actors = std::move(next);
    generation.fetch_add(1, std::memory_order_release);
  }

  base::OwnerProcess owner;
  mutable std::mutex mutex;
  std::shared_ptr<const ActorTable> actors = std::make_shared<ActorTable>();
  // Counts the tables. Release in change(), after the new table is there, pairs with the acquire in MethodFinder, which
  // compares it with that of the table it holds: it fetches the new one before it finds anything in the old one.
  std::atomic<std::uint64_t> generation{0};
  StreamKeeper streams;
};

}  // namespace sluice::codec::detail

// What a process offers to its peers: actors, with methods and observable states.
//
//   sluice::codec::Registry registry;
//   auto& todos = registry.actor("todos");
//   todos.method("add", [&](std::string title) { return add(title); });
//   todos.state("state", state);                       // an ObservableState
//
//   sluice::codec::Peer peer(listener.accept(), {.registry = &registry});
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/codec/detail/method.hpp"
#include "sluice/codec/observable_state.hpp"

namespace sluice::codec {
class Peer;
namespace detail {
struct RegistryState;  // not exported
}
}  // namespace sluice::codec

#pragma GCC visibility push(default)

namespace sluice::codec {

class Registry;

/// One actor of a registry, which owns it. Names are 1 .. 128 bytes (errc::bad_name); a method and a state may have
/// the same name. Thread-safety: any thread.
class Actor {
 public:
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;
  ~Actor() = default;

  /// Calls to `name` call `function(arguments...)`, and are answered with what it returns. Arguments are decoded into
  /// values of the function's parameter types; an std::optional at the end may be missing. A first parameter of type
  /// Reply<R> isn't an argument: the function answers through it, now or later. If it throws, the caller gets an
  /// error. Replaces a method of that name; a call that runs meanwhile goes on.
  template <typename F>
  Actor& method(std::string_view name, F function) {
    add_method(name, detail::bind(std::move(function)));
    return *this;
  }

  /// Peers can observe `state` under this name, as long as it lives.
  template <typename T>
  Actor& state(std::string_view name, const ObservableState<T>& state) {
    add_state(name, state.hub());
    return *this;
  }

  const std::string& name() const noexcept { return name_; }

 private:
  friend class Registry;
  Actor(std::shared_ptr<detail::RegistryState> registry, std::string name) noexcept
      : registry_(std::move(registry)), name_(std::move(name)) {}
  void add_method(std::string_view name, std::shared_ptr<detail::Method> method);
  void add_state(std::string_view name, std::shared_ptr<detail::StateHub> hub);

  std::shared_ptr<detail::RegistryState> registry_;
  std::string name_;
};

struct RegistryOptions {
  /// Streams of clients that are gone and may come back. If there are more, the oldest are dropped.
  std::size_t max_retained_streams = 10'000;
};

/// The actors that any number of peers serve. Peers keep what they need of it, so it may be destroyed before them: its
/// actors are gone then. Thread-safety: any thread; not in a forked child (errc::misuse).
class Registry {
 public:
  explicit Registry(const RegistryOptions& options = {});
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry();

  /// The actor of that name, made if there is none.
  Actor& actor(std::string_view name);
  /// Takes the actor away: its streams end (actor_terminated); calls that come later get no_such_actor. References to
  /// it are no longer valid. False if there is none.
  bool remove(std::string_view name);

 private:
  friend class Peer;
  std::shared_ptr<detail::RegistryState> state_;
  std::mutex actors_mutex_;  // guards actors_
  std::map<std::string, std::unique_ptr<Actor>, std::less<>> actors_;
};

}  // namespace sluice::codec

#pragma GCC visibility pop

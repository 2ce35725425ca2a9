#include "sluice/codec/registry.hpp"

#include <algorithm>
#include <vector>

#include "names.hpp"
#include "registry_state.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/object_tree.hpp"

namespace sluice::codec {
namespace detail {

bool StreamKeeper::add(const std::shared_ptr<ServedStream>& stream) {
  const std::lock_guard lock(mutex_);
  return streams_.emplace(stream->id(), stream).second;
}

std::shared_ptr<ServedStream> StreamKeeper::find(const Id& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

void StreamKeeper::forget(const ServedStream& stream) noexcept {
  std::shared_ptr<ServedStream> forgotten;
  {
    const std::lock_guard lock(mutex_);
    const auto found = streams_.find(stream.id());
    if (found != streams_.end() && found->second.get() == &stream) {
      forgotten = std::move(found->second);
      streams_.erase(found);
    }
  }
  stream.hub().remove(stream);
}

void StreamKeeper::retain(const std::shared_ptr<ServedStream>& stream) noexcept {
  std::vector<std::shared_ptr<ServedStream>> dropped;
  {
    const std::lock_guard lock(mutex_);
    const Deadline now = std::chrono::steady_clock::now();
    gone_.push_back({stream, now});
    while (!gone_.empty()) {
      auto& oldest = gone_.front();
      const bool expired = now - oldest.since >= oldest.stream->hub().options().retention;
      if (!expired && gone_.size() <= most_retained_) break;
      if (oldest.stream->detached_since(oldest.since)) dropped.push_back(oldest.stream);
      gone_.pop_front();
    }
    for (const auto& stream_dropped : dropped) {
      const auto found = streams_.find(stream_dropped->id());  // another one may have its id now
      if (found != streams_.end() && found->second == stream_dropped) streams_.erase(found);
    }
  }
  for (const auto& stream_dropped : dropped) {
    stream_dropped->end();
    stream_dropped->hub().remove(*stream_dropped);
  }
}

void StreamKeeper::end_actor(std::string_view actor) noexcept {
  std::vector<std::shared_ptr<ServedStream>> ended;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = streams_.begin(); at != streams_.end();) {
      if (at->second->actor() != actor) {
        ++at;
        continue;
      }
      ended.push_back(std::move(at->second));
      at = streams_.erase(at);
    }
  }
  for (const auto& stream : ended) {
    stream->end();
    stream->hub().remove(*stream);
  }
}

void refuse_argument(std::size_t index, std::size_t expected, const msgpack::object& arguments) {
  const std::size_t came = arguments.via.array.size;
  std::string text = "argument " + std::to_string(index + 1) + " of " + std::to_string(expected);
  text += index < came ? ": got " + describe(arguments.via.array.ptr[index])
                       : ": got " + std::to_string(came) + " arguments";
  throw BadArgument{std::move(text)};
}

}  // namespace detail

void Actor::add_method(std::string_view name, std::shared_ptr<detail::Method> method) {
  registry_->owner.check("a registry");
  check_name("method", name);
  registry_->change([&](detail::ActorTable& table) {
    table.actors[name_].methods.insert_or_assign(std::string(name), std::move(method));
  });
}

void Actor::add_state(std::string_view name, std::shared_ptr<detail::StateHub> hub) {
  registry_->owner.check("a registry");
  check_name("state", name);
  registry_->change([&](detail::ActorTable& table) {
    table.actors[name_].states.insert_or_assign(std::string(name), std::move(hub));
  });
}

Registry::Registry(const RegistryOptions& options)
    : state_(std::make_shared<detail::RegistryState>(options)) {}

Registry::~Registry() {
  if (state_->owner.inherited()) return;
  std::vector<std::string> names;
  for (const auto& [name, actor] : actors_) names.push_back(name);
  for (const auto& name : names) remove(name);
}

Actor& Registry::actor(std::string_view name) {
  state_->owner.check("a registry");
  check_name("actor", name);
  const std::lock_guard lock(actors_mutex_);
  const auto found = actors_.find(name);
  if (found != actors_.end()) return *found->second;
  state_->change([&](detail::ActorTable& table) { table.actors.try_emplace(std::string(name)); });
  auto& made = actors_[std::string(name)];
  made.reset(new Actor(state_, std::string(name)));
  return *made;
}

bool Registry::remove(std::string_view name) {
  state_->owner.check("a registry");
  std::unique_ptr<Actor> removed;
  {
    const std::lock_guard lock(actors_mutex_);
    const auto found = actors_.find(name);
    if (found == actors_.end()) return false;
    removed = std::move(found->second);
    actors_.erase(found);
    state_->change([&](detail::ActorTable& table) { table.actors.erase(removed->name()); });
  }
  state_->streams.end_actor(removed->name());
  return true;
}

}  // namespace sluice::codec

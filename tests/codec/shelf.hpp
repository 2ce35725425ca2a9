// What the tests' peers serve each other: the actor "shelf" with the state "count". tests/codec/endpoint.py serves the
// same.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "sluice/codec.hpp"

namespace sluice::test {

/// Thread-safety: any thread.
class Shelf {
 public:
  explicit Shelf(const codec::StateOptions& options = {.retained_items = 20}, std::int64_t first = 0)
      : count(first, options) {
    registry.actor("shelf")
        .state("count", count)
        .method("add", [](std::int64_t a, std::int64_t b) { return a + b; })
        .method("fail", [](const std::string& text) { throw std::runtime_error(text); })
        .method("keep", [this](codec::Reply<std::string> reply) { keep(std::move(reply)); })
        .method("release", [this](const std::string& answer) { return release(answer); })
        .method("given_up", [this] { return given_up(); })
        .method("note", [this](const std::string& text) { note(text); })
        .method("notes", [this] { return notes(); })
        .method("open_peers", [this] { return open_peers_.load(); })
        .method("count_to", [this](std::int64_t last) { return count_to(last); });
  }

  /// For a peer that serves it.
  codec::PeerOptions peer_options() {
    ++open_peers_;
    codec::PeerOptions options{.registry = &registry};
    options.on_end = [this](Status /*reason*/, const std::string& /*text*/) { --open_peers_; };
    return options;
  }

  std::int64_t count_to(std::int64_t last) {
    while (count.get() < last) count.update([](std::int64_t& value) { ++value; });
    return count.get();
  }
  std::size_t release(const std::string& answer) {
    std::vector<codec::Reply<std::string>> kept;
    {
      const std::lock_guard lock(mutex_);
      kept.swap(kept_);
    }
    std::erase_if(kept, [](const auto& reply) { return reply.cancelled(); });
    for (const auto& reply : kept) reply(answer);
    return kept.size();
  }
  /// Kept calls that their callers gave up.
  std::size_t given_up() const {
    const std::lock_guard lock(mutex_);
    return given_up_;
  }
  std::vector<std::string> notes() const {
    const std::lock_guard lock(mutex_);
    return notes_;
  }

  codec::Registry registry;
  codec::ObservableState<std::int64_t> count;

 private:
  void keep(codec::Reply<std::string> reply) {
    reply.on_cancel([this] {
      const std::lock_guard lock(mutex_);
      ++given_up_;
    });
    const std::lock_guard lock(mutex_);
    kept_.push_back(std::move(reply));
  }
  void note(const std::string& text) {
    const std::lock_guard lock(mutex_);
    notes_.push_back(text);
  }

  std::atomic<int> open_peers_{0};
  mutable std::mutex mutex_;
  std::vector<codec::Reply<std::string>> kept_;
  std::vector<std::string> notes_;
  std::size_t given_up_ = 0;
};

}  // namespace sluice::test

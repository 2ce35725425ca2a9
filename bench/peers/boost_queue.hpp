// Peer: boost::interprocess::message_queue, one for each direction.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/channel.hpp"

namespace sluice::bench {

/// A message queue under a name of this process's, removed when the owner goes.
class BoostQueueLane {
 public:
  BoostQueueLane(const char* direction, const ChannelOptions& options)
      : name_(fmt::format("sluice-bench-{}-{}", getpid(), direction)), owner_(getpid()) {
    namespace bi = boost::interprocess;
    const auto slots = std::clamp<std::size_t>(options.ring_bytes / options.message_bytes, 4, 1024);
    bi::message_queue::remove(name_.c_str());
    queue_ =
        std::make_unique<bi::message_queue>(bi::create_only, name_.c_str(), slots, options.message_bytes);
  }
  ~BoostQueueLane() {
    if (getpid() == owner_) boost::interprocess::message_queue::remove(name_.c_str());
  }
  BoostQueueLane(const BoostQueueLane&) = delete;
  BoostQueueLane& operator=(const BoostQueueLane&) = delete;

  boost::interprocess::message_queue& queue() { return *queue_; }

 private:
  std::string name_;
  pid_t owner_;
  std::unique_ptr<boost::interprocess::message_queue> queue_;
};

class BoostQueue {
 public:
  explicit BoostQueue(const ChannelOptions& options)
      : options_(options), there_("there", options), back_("back", options) {}

  class End {
   public:
    using Queue = boost::interprocess::message_queue;
    End(Queue& out, Queue& in, Wait wait, std::size_t bytes)
        : out_(&out), in_(&in), wait_(wait), buffer_(bytes) {}

    void send(Bytes message) {
      if (wait_ == Wait::sleep) return out_->send(message.data(), message.size(), 0);
      while (!out_->try_send(message.data(), message.size(), 0)) cpu_pause();
    }
    template <class Handler>
    void receive(Handler&& handler) {
      std::size_t got = 0;
      unsigned priority = 0;
      if (wait_ == Wait::sleep) {
        in_->receive(buffer_.data(), buffer_.size(), got, priority);
      } else {
        while (!in_->try_receive(buffer_.data(), buffer_.size(), got, priority)) cpu_pause();
      }
      handler(Bytes{buffer_}.first(got));
    }

   private:
    Queue* out_;
    Queue* in_;
    Wait wait_;
    std::vector<std::byte> buffer_;
  };

  End open(Side side) {
    auto& out = side == Side::first ? there_ : back_;
    auto& in = side == Side::first ? back_ : there_;
    return {out.queue(), in.queue(), options_.wait(side), options_.message_bytes};
  }

 private:
  ChannelOptions options_;
  BoostQueueLane there_;
  BoostQueueLane back_;
};

}  // namespace sluice::bench

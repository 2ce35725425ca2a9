// Peer: the ring buffer of libqb, written in place and read in place.
#pragma once

#include <fmt/format.h>
#include <qb/qbrb.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include "harness/channel.hpp"

namespace sluice::bench {

/// One direction; both processes use the handle they inherit. Without its semaphore where the reader spins.
class QbLane {
 public:
  QbLane(const char* direction, std::size_t ring_bytes, Wait reader) : owner_(getpid()) {
    const auto name = fmt::format("sluice-bench-{}-{}", getpid(), direction);
    const auto flags = QB_RB_FLAG_CREATE | QB_RB_FLAG_SHARED_PROCESS |
                       (reader == Wait::sleep ? 0U : static_cast<unsigned>(QB_RB_FLAG_NO_SEMAPHORE));
    ring_ = qb_rb_open(name.c_str(), ring_bytes, flags, 0);
    if (ring_ == nullptr) throw std::system_error(errno, std::system_category(), "qb_rb_open");
  }
  ~QbLane() {
    if (getpid() == owner_) qb_rb_close(ring_);
  }
  QbLane(const QbLane&) = delete;
  QbLane& operator=(const QbLane&) = delete;

  qb_ringbuffer_t* ring() const { return ring_; }

 private:
  pid_t owner_;
  qb_ringbuffer_t* ring_ = nullptr;
};

class QbRing {
 public:
  explicit QbRing(const ChannelOptions& options)
      : options_(options),
        there_("there", std::max(options.ring_bytes, 4 * options.message_bytes), options.second),
        back_("back", std::max(options.ring_bytes, 4 * options.message_bytes), options.first) {}

  class End {
   public:
    End(qb_ringbuffer_t* out, qb_ringbuffer_t* in, Wait wait)
        : out_(out), in_(in), timeout_ms_(wait == Wait::sleep ? -1 : 0) {}

    void send(Bytes message) {
      produce(message.size(),
              [&](std::span<std::byte> room) { std::memcpy(room.data(), message.data(), room.size()); });
    }
    template <class Fill>
    void produce(std::size_t bytes, Fill fill) {
      void* room = nullptr;
      while ((room = qb_rb_chunk_alloc(out_, bytes)) == nullptr) cpu_pause();
      fill(std::span(static_cast<std::byte*>(room), bytes));
      if (qb_rb_chunk_commit(out_, bytes) != 0) throw std::runtime_error("qb_rb_chunk_commit failed");
    }
    template <class Handler>
    void receive(Handler&& handler) {
      void* data = nullptr;
      ssize_t got = 0;
      while ((got = qb_rb_chunk_peek(in_, &data, timeout_ms_)) <= 0) cpu_pause();
      handler(Bytes{static_cast<const std::byte*>(data), static_cast<std::size_t>(got)});
      qb_rb_chunk_reclaim(in_);
    }

   private:
    qb_ringbuffer_t* out_;
    qb_ringbuffer_t* in_;
    int timeout_ms_;
  };

  End open(Side side) {
    return side == Side::first ? End{there_.ring(), back_.ring(), options_.first}
                               : End{back_.ring(), there_.ring(), options_.second};
  }

 private:
  ChannelOptions options_;
  QbLane there_;
  QbLane back_;
};

}  // namespace sluice::bench

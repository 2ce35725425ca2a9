// Floor: a byte ring written for the benchmark alone. Every record has the same length, which both sides
// know; the record's header word is its own position, so nothing is ever cleared. No protection, no sleeping,
// no closing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "harness/channel.hpp"
#include "harness/shared_memory.hpp"

namespace sluice::bench {

/// What a reader does about an empty ring: poll on, or leave the writer's line alone for a while (better for
/// streams of small messages, worse for round trips).
enum class Polling : std::uint8_t { eager, backed_off };

/// Pauses of a reader that backs off: long enough for the writer to fill some lines undisturbed.
inline constexpr int kBackOffPauses = 300;

inline void back_off() noexcept {
  for (int i = 0; i < kBackOffPauses; ++i) cpu_pause();
}

/// One direction. The writer owns the data, the reader owns `released`.
class InbandLane {
 public:
  InbandLane(std::size_t record_bytes, std::size_t ring_bytes)
      : record_bytes_(record_bytes), mask_(ring_bytes - 1), data_(ring_bytes, SharedMemory::Layout::twice) {}

  void touch() const { data_.touch(); }
  std::size_t capacity() const { return mask_ + 1; }
  std::size_t record_bytes() const { return record_bytes_; }
  std::byte* at(std::uint64_t position) const { return data_.data() + (position & mask_); }
  std::atomic_ref<std::uint64_t> header(std::uint64_t position) const {
    return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(at(position)));
  }
  std::atomic<std::uint64_t>& released() const { return *released_; }

 private:
  std::size_t record_bytes_;
  std::uint64_t mask_;
  SharedMemory data_;
  Shared<std::atomic<std::uint64_t>> released_;
};

/// The writing end of a lane.
class InbandWriter {
 public:
  explicit InbandWriter(const InbandLane& lane) : lane_(&lane) {}

  template <class Fill>
  void write(Fill fill) noexcept {
    const auto end = position_ + lane_->record_bytes();
    // The record after this one starts with a header that the reader already polls: keep room for it too.
    while (end + kHeaderBytes - released_ > lane_->capacity()) {
      // acquire: pairs with the release in InbandReader; the reader is done with what it released.
      released_ = lane_->released().load(std::memory_order_acquire);
      if (end + kHeaderBytes - released_ > lane_->capacity()) cpu_pause();
    }
    fill(lane_->at(position_) + kHeaderBytes);
    // release: publishes the payload; pairs with the acquire in InbandReader::read.
    lane_->header(position_).store(position_ + 1, std::memory_order_release);
    position_ = end;
  }

  static constexpr std::size_t kHeaderBytes = sizeof(std::uint64_t);

 private:
  const InbandLane* lane_;
  std::uint64_t position_ = 0;
  std::uint64_t released_ = 0;
};

/// The reading end of a lane.
template <Polling kPolling>
class InbandReader {
 public:
  explicit InbandReader(const InbandLane& lane) : lane_(&lane), release_step_(lane.capacity() / 8) {}

  template <class Handler>
  void read(Handler&& handler) {
    const auto header = lane_->header(position_);
    while (header.load(std::memory_order_acquire) != position_ + 1) {
      if constexpr (kPolling == Polling::eager) {
        cpu_pause();
      } else {
        back_off();
      }
    }
    handler(Bytes{lane_->at(position_) + InbandWriter::kHeaderBytes,
                  lane_->record_bytes() - InbandWriter::kHeaderBytes});
    position_ += lane_->record_bytes();
    if (position_ - published_ < release_step_) return;
    lane_->released().store(position_, std::memory_order_release);
    published_ = position_;
  }

 private:
  const InbandLane* lane_;
  std::uint64_t position_ = 0;
  std::uint64_t published_ = 0;
  std::uint64_t release_step_;
};

/// Both directions as a channel.
template <Polling kPolling>
class InbandRing {
 public:
  explicit InbandRing(const ChannelOptions& options)
      : there_(options.message_bytes + InbandWriter::kHeaderBytes, options.ring_bytes),
        back_(options.message_bytes + InbandWriter::kHeaderBytes, options.ring_bytes) {}

  class End {
   public:
    End(const InbandLane& out, const InbandLane& in) : writer_(out), reader_(in) {
      out.touch();
      in.touch();
    }
    void send(Bytes message) noexcept {
      writer_.write([&](std::byte* room) { std::memcpy(room, message.data(), message.size()); });
    }
    template <class Handler>
    void receive(Handler&& handler) {
      reader_.read(handler);
    }
    template <class Fill>
    void produce(std::size_t bytes, Fill fill) noexcept {
      writer_.write([&](std::byte* room) { fill(std::span(room, bytes)); });
    }

   private:
    InbandWriter writer_;
    InbandReader<kPolling> reader_;
  };

  End open(Side side) { return side == Side::first ? End(there_, back_) : End(back_, there_); }

 private:
  InbandLane there_;
  InbandLane back_;
};

}  // namespace sluice::bench

// Floor: the single-producer single-consumer queue of the textbooks: fixed slots, a head and a tail index on
// lines of their own, each side with a cached copy of the other's.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "harness/channel.hpp"
#include "harness/shared_memory.hpp"

namespace sluice::bench {

inline constexpr std::size_t kTextbookPayloadBytes = 64;

/// One direction: tail and slots owned by the writer, head by the reader.
struct TextbookLane {
  static constexpr std::size_t kSlots = 1024;
  alignas(128) std::atomic<std::uint64_t> head;
  alignas(128) std::atomic<std::uint64_t> tail;
  alignas(128) std::array<std::array<std::byte, kTextbookPayloadBytes>, kSlots> slots;
};

/// Both directions as a channel of 64-byte messages.
class TextbookQueue {
 public:
  explicit TextbookQueue(const ChannelOptions& /*options*/) {}

  class End {
   public:
    End(TextbookLane& out, TextbookLane& in) : out_(&out), in_(&in) {}

    void send(Bytes message) noexcept {
      while (tail_ - seen_head_ == TextbookLane::kSlots) {
        seen_head_ = out_->head.load(std::memory_order_acquire);
        if (tail_ - seen_head_ == TextbookLane::kSlots) cpu_pause();
      }
      std::memcpy(out_->slots[tail_ % TextbookLane::kSlots].data(), message.data(), kTextbookPayloadBytes);
      // release: publishes the slot; pairs with the acquire in receive.
      out_->tail.store(++tail_, std::memory_order_release);
    }

    template <class Handler>
    void receive(Handler&& handler) {
      while (head_ == seen_tail_) {
        seen_tail_ = in_->tail.load(std::memory_order_acquire);
        if (head_ == seen_tail_) cpu_pause();
      }
      handler(Bytes{in_->slots[head_ % TextbookLane::kSlots]});
      // release: gives the slot back; pairs with the acquire in send.
      in_->head.store(++head_, std::memory_order_release);
    }

   private:
    TextbookLane* out_;
    TextbookLane* in_;
    std::uint64_t tail_ = 0;
    std::uint64_t seen_head_ = 0;
    std::uint64_t head_ = 0;
    std::uint64_t seen_tail_ = 0;
  };

  End open(Side side) { return side == Side::first ? End(*there_, *back_) : End(*back_, *there_); }

 private:
  Shared<TextbookLane> there_;
  Shared<TextbookLane> back_;
};

}  // namespace sluice::bench

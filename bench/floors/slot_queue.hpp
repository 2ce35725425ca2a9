// Floor: fixed 64-byte slots, each with its sequence number in its own line. One line travels per message.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "harness/channel.hpp"
#include "harness/shared_memory.hpp"
#include "inband_ring.hpp"

namespace sluice::bench {

inline constexpr std::size_t kSlotPayloadBytes = 56;

/// One direction: slots owned by the writer, `released` (a message count) by the reader.
struct SlotLane {
  static constexpr std::size_t kSlots = std::size_t{16} * 1024;  // 1 MiB, as the default ring
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> sequence;  // number of the message in it plus 1; writer: SlotQueue::End::send
    std::array<std::byte, kSlotPayloadBytes> payload;
  };
  static_assert(sizeof(Slot) == 64);

  std::array<Slot, kSlots> slots;
  alignas(128) std::atomic<std::uint64_t> released;
};

/// Both directions as a channel of 56-byte messages.
template <Polling kPolling>
class SlotQueue {
 public:
  explicit SlotQueue(const ChannelOptions& /*options*/) {}

  class End {
   public:
    End(SlotLane& out, SlotLane& in) : out_(&out), in_(&in) {}

    void send(Bytes message) noexcept {
      while (sent_ - released_ == SlotLane::kSlots) {
        released_ = out_->released.load(std::memory_order_acquire);
        if (sent_ - released_ == SlotLane::kSlots) cpu_pause();
      }
      auto& slot = out_->slots[sent_ % SlotLane::kSlots];
      std::memcpy(slot.payload.data(), message.data(), kSlotPayloadBytes);
      // release: publishes the payload; pairs with the acquire in receive.
      slot.sequence.store(++sent_, std::memory_order_release);
    }

    template <class Handler>
    void receive(Handler&& handler) {
      const auto& slot = in_->slots[received_ % SlotLane::kSlots];
      while (slot.sequence.load(std::memory_order_acquire) != received_ + 1) {
        if constexpr (kPolling == Polling::eager) {
          cpu_pause();
        } else {
          back_off();
        }
      }
      handler(Bytes{slot.payload});
      ++received_;
      // release: the slots up to here may be overwritten; pairs with the acquire in send.
      if (received_ % kReleaseStep == 0) in_->released.store(received_, std::memory_order_release);
    }

   private:
    static constexpr std::uint64_t kReleaseStep = SlotLane::kSlots / 8;
    SlotLane* out_;
    SlotLane* in_;
    std::uint64_t sent_ = 0;
    std::uint64_t released_ = 0;
    std::uint64_t received_ = 0;
  };

  End open(Side side) { return side == Side::first ? End(*there_, *back_) : End(*back_, *there_); }

 private:
  Shared<SlotLane> there_;
  Shared<SlotLane> back_;
};

}  // namespace sluice::bench

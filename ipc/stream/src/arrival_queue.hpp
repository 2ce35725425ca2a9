// The blocks and ends that wait for the consumer, copied, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "sluice/ipc/port/message_content.hpp"

namespace sluice::ipc {

struct BlockCount {
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;

  BlockCount& operator+=(std::uint64_t block_bytes) noexcept {
    ++blocks;
    bytes += block_bytes;
    return *this;
  }
};

/// Two buffers: what arrives goes to the end of one, while the other is worked through; when that is empty
/// they change places. So nothing is allocated for a block, and what was taken stays where it is until the
/// next take(). Each buffer takes at most twice the memory of the most that ever waited.
/// Thread-safety: none.
class ArrivalQueue {
 public:
  /// error and violation: of a stream that ended so; its bytes are what went wrong, in words.
  enum class Kind : std::uint8_t { block, end, error, violation };
  struct Item {
    Kind kind;
    std::size_t bytes;
  };

  bool empty() const noexcept { return taken_.empty() && arrived_.empty(); }
  /// How many of the items are no blocks.
  std::size_t ends() const noexcept { return ends_; }
  const Item& first() const noexcept { return taken_.empty() ? arrived_.first() : taken_.first(); }

  void push(Kind kind, BytesOrText content) {
    const std::span<const std::byte> bytes = content.bytes();
    arrived_.bytes.insert(arrived_.bytes.end(), bytes.begin(), bytes.end());
    arrived_.items.push_back({kind, bytes.size()});
    if (kind != Kind::block) ++ends_;
  }
  /// Of what isn't empty.
  Kind take(std::span<const std::byte>& bytes) {
    if (taken_.empty()) {
      taken_.clear();
      std::swap(taken_, arrived_);
    }
    const Item item = taken_.items[taken_.next_item++];
    bytes = std::span(taken_.bytes).subspan(taken_.next_byte, item.bytes);
    taken_.next_byte += item.bytes;
    if (item.kind != Kind::block) --ends_;
    return item.kind;
  }
  /// Drops the blocks behind the last end.
  BlockCount drop_last_blocks() {
    BlockCount dropped;
    for (Buffer* buffer : {&arrived_, &taken_}) {
      while (!buffer->empty() && buffer->items.back().kind == Kind::block) {
        dropped += buffer->items.back().bytes;
        buffer->bytes.resize(buffer->bytes.size() - buffer->items.back().bytes);
        buffer->items.pop_back();
      }
      if (!buffer->empty()) break;
    }
    return dropped;
  }

 private:
  struct Buffer {
    std::vector<Item> items{};
    std::vector<std::byte> bytes{};
    std::size_t next_item = 0;
    std::size_t next_byte = 0;

    bool empty() const noexcept { return next_item == items.size(); }
    const Item& first() const noexcept { return items[next_item]; }
    void clear() noexcept {
      items.clear();
      bytes.clear();
      next_item = next_byte = 0;
    }
  };

  Buffer arrived_;
  Buffer taken_;
  std::size_t ends_ = 0;
};

}  // namespace sluice::ipc

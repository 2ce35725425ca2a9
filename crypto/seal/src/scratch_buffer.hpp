// Working memory for plaintext: made at first use, not zeroed before, wiped as far as it was asked for after.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>

#include "secure_buffer.hpp"

namespace sluice::crypto {

class ScratchBuffer {
 public:
  ScratchBuffer() = default;
  ScratchBuffer(const ScratchBuffer&) = delete;
  ScratchBuffer& operator=(const ScratchBuffer&) = delete;
  ~ScratchBuffer() { wipe({memory_.get(), size_}); }

  /// The first `size` bytes. What they held stays, unless more is asked for than ever before.
  std::span<std::byte> make(std::size_t size) {
    if (size > size_) {
      wipe({memory_.get(), size_});
      memory_ = std::make_unique_for_overwrite<std::byte[]>(size);
      size_ = size;
    }
    return {memory_.get(), size};
  }

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::size_t size_ = 0;
};

}  // namespace sluice::crypto

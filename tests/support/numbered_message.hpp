// Messages that tell whether they are whole: every byte follows from the message's number.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace sluice::test {

/// splitmix64 (Steele, Lea, Flood 2014).
inline std::uint64_t scrambled(std::uint64_t value) noexcept {
  value += 0x9e37'79b9'7f4a'7c15U;
  value = (value ^ (value >> 30U)) * 0xbf58'476d'1ce4'e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d0'49bb'1331'11ebU;
  return value ^ (value >> 31U);
}

/// Messages of one direction; `stream` tells directions and tests apart.
class NumberedMessages {
 public:
  NumberedMessages(std::uint64_t stream, std::size_t min_bytes, std::size_t max_bytes) noexcept
      : stream_(stream), min_bytes_(min_bytes), max_bytes_(max_bytes) {}

  std::size_t bytes(std::uint64_t number) const noexcept {
    return min_bytes_ + scrambled(number ^ scrambled(stream_)) % (max_bytes_ - min_bytes_ + 1);
  }

  /// The message of that number; valid until the next call.
  std::span<const std::byte> make(std::uint64_t number) {
    buffer_.resize(bytes(number));
    fill(number, buffer_);
    return buffer_;
  }

  /// Writes the message of that number into `room`, whose size is bytes(number).
  void fill(std::uint64_t number, std::span<std::byte> room) const noexcept {
    for (std::size_t at = 0; at < room.size(); at += sizeof(std::uint64_t)) {
      const std::uint64_t word = word_at(number, at);
      std::memcpy(&room[at], &word, std::min(sizeof word, room.size() - at));
    }
  }

  bool matches(std::span<const std::byte> message, std::uint64_t number) const noexcept {
    if (message.size() != bytes(number)) return false;
    for (std::size_t at = 0; at < message.size(); at += sizeof(std::uint64_t)) {
      const std::uint64_t word = word_at(number, at);
      if (std::memcmp(&message[at], &word, std::min(sizeof word, message.size() - at)) != 0) return false;
    }
    return true;
  }

 private:
  std::uint64_t word_at(std::uint64_t number, std::size_t at) const noexcept {
    return scrambled(scrambled(stream_ + at) ^ number);
  }

  std::uint64_t stream_;
  std::size_t min_bytes_;
  std::size_t max_bytes_;
  std::vector<std::byte> buffer_;
};

}  // namespace sluice::test

// What the benchmarks send, and the check of every message that arrives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace sluice::bench {

using Bytes = std::span<const std::byte>;

/// The first word of a message: its sequence number, and two flags that steer a run without any other
/// channel.
inline constexpr std::uint64_t kStartFlag = std::uint64_t{1}
                                            << 62;  ///< the measurement starts with this message
inline constexpr std::uint64_t kLastFlag = std::uint64_t{1} << 63;  ///< nothing follows this message
inline constexpr std::uint64_t kSequenceMask = kStartFlag - 1;

/// Word number `index` behind `from`, which may lie anywhere: frames of a stream begin at odd addresses.
inline std::uint64_t word_at(const std::byte* from, std::size_t index) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, from + index * sizeof word, sizeof word);
  return word;
}

/// The sum of `count` words. One function for whoever reads large messages: inlined into each reader, the
/// loop would be laid out differently each time, which changed its speed by up to a third.
std::uint64_t sum_words(const std::byte* from, std::size_t count) noexcept;

/// The words that both processes agree on: a few different message bodies, used in turn, so that a message
/// that kept an older one's content does not pass. Messages too large to keep several of hot in the first
/// cache share one body in which one word, another each time, is stamped with the sequence number.
class Bodies {
 public:
  /// `message_bytes` is a multiple of 8 and at least 8; anything else throws std::invalid_argument.
  explicit Bodies(std::size_t message_bytes);

  static std::uint64_t stamp(std::uint64_t sequence) noexcept { return sequence * 0x9E3779B97F4A7C15U; }

 protected:
  bool stamped() const noexcept { return count_ == 1 && words_ > 2; }

  std::size_t words_;                // in one message
  std::size_t count_;                // of bodies
  std::vector<std::uint64_t> pool_;  // count_ bodies one after the other
  std::vector<std::uint64_t> sums_;  // of each body without its first word
};

/// Makes the messages 0, 1, 2, ... of one size. The words of a message are written a whole turn before it is
/// sent, so that no sender pays for loads that overtake the stores of this class. Thread-safety: one thread.
class Source : private Bodies {
 public:
  explicit Source(std::size_t message_bytes);

  /// The next message, with `flags`; valid until the next call.
  Bytes next(std::uint64_t flags = 0) noexcept {
    if (last_ != nullptr) restamp();
    auto* const words = &pool_[turn_ * words_];
    if (stamped()) write_stamp(words);
    if (flags != 0 || count_ == 1) words[0] = sequence_ | flags;
    last_ = words;
    ++sequence_;
    if (++turn_ == count_) turn_ = 0;
    return {reinterpret_cast<const std::byte*>(words), words_ * sizeof(std::uint64_t)};
  }

  std::uint64_t sequence() const noexcept { return sequence_; }

 private:
  void restamp() noexcept { last_[0] = sequence_ - 1 + count_; }
  void write_stamp(std::uint64_t* words) noexcept {
    words[stamp_at_] = stamp_kept_;
    if (++stamp_at_ == words_) stamp_at_ = 1;
    stamp_kept_ = words[stamp_at_];
    words[stamp_at_] = stamp(sequence_);
  }

  std::uint64_t sequence_ = 0;
  std::size_t turn_ = 0;
  std::uint64_t* last_ = nullptr;
  std::size_t stamp_at_ = 1;
  std::uint64_t stamp_kept_ = 0;
};

/// Reads every word of the messages 0, 1, 2, ... and compares. Thread-safety: one thread.
class Checker : private Bodies {
 public:
  explicit Checker(std::size_t message_bytes) : Bodies(message_bytes) {}

  /// Checks the next message and returns its first word. Throws std::runtime_error on a wrong size, sequence
  /// or content.
  std::uint64_t check(Bytes message) {
    if (message.size() != words_ * sizeof(std::uint64_t)) fail_size(message.size());
    const auto first = word_at(message.data(), 0);
    std::uint64_t sum = 0;
    if (words_ > kFewWords) {
      sum = sum_words(message.data() + sizeof first, words_ - 1);
    } else {
      for (std::size_t i = 1; i < words_; ++i) sum += word_at(message.data(), i);
    }
    auto expected = sums_[turn_];
    if (stamped()) expected += stamp_change(message.data());
    if ((first & kSequenceMask) != sequence_ || sum != expected) fail_content(first, sum, expected);
    ++sequence_;
    if (++turn_ == count_) turn_ = 0;
    return first;
  }

  std::uint64_t sequence() const noexcept { return sequence_; }

 private:
  static constexpr std::size_t kFewWords = 32;  // a call would cost more than reading them

  std::uint64_t stamp_change(const std::byte* message);
  [[noreturn]] void fail_size(std::size_t size) const;
  [[noreturn]] void fail_content(std::uint64_t first, std::uint64_t sum, std::uint64_t expected) const;

  std::uint64_t sequence_ = 0;
  std::size_t turn_ = 0;
  std::size_t stamp_at_ = 1;
};

/// Writes message number `sequence` in place, as a producer that computes its data does: nothing is read. The
/// content is its own formula: the first word is the sequence with its flags, word i is sequence * 3 + i.
inline void generate(std::span<std::byte> room, std::uint64_t sequence, std::uint64_t flags) noexcept {
  auto* const words = reinterpret_cast<std::uint64_t*>(room.data());
  const auto count = room.size() / sizeof(std::uint64_t);
  words[0] = sequence | flags;
  const auto base = sequence * 3;
  for (std::size_t i = 1; i < count; ++i) words[i] = base + i;
}

/// Checks a generated message; throws std::runtime_error if a word is wrong. Returns its first word.
std::uint64_t check_generated(Bytes message, std::uint64_t sequence);

}  // namespace sluice::bench

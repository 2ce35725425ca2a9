#include "payload.hpp"

#include <fmt/format.h>

#include <cstring>
#include <numeric>

namespace sluice::bench {
namespace {

constexpr std::size_t kPoolBytes = std::size_t{8} * 1024;  // a fraction of any first-level data cache
constexpr std::size_t kMostBodies = 61;                    // prime: no ring's slot count is a multiple of it

std::size_t bodies_for(std::size_t message_bytes) {
  const auto fitting = kPoolBytes / message_bytes;
  if (fitting >= kMostBodies) return kMostBodies;
  if (fitting >= 7) return 7;
  return 1;
}

std::uint64_t next_random(std::uint64_t& state) {  // splitmix64, by its published constants
  state += 0x9E3779B97F4A7C15U;
  auto word = state;
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9U;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EBU;
  return word ^ (word >> 31);
}

}  // namespace

std::uint64_t sum_words(const std::byte* from, std::size_t count) noexcept {
  using Pair [[gnu::vector_size(16)]] = std::uint64_t;
  constexpr std::size_t kWordsAtOnce = 8;
  const auto pair_at = [from](std::size_t index) {
    Pair pair;
    std::memcpy(&pair, from + index * sizeof(std::uint64_t), sizeof pair);
    return pair;
  };
  Pair a{};  // four sums that don't wait for each other
  Pair b{};
  Pair c{};
  Pair d{};
  std::size_t i = 0;
  for (; i + kWordsAtOnce <= count; i += kWordsAtOnce) {
    a += pair_at(i);
    b += pair_at(i + 2);
    c += pair_at(i + 4);
    d += pair_at(i + 6);
  }
  const Pair sums = a + b + c + d;
  std::uint64_t sum = sums[0] + sums[1];
  for (; i < count; ++i) sum += word_at(from, i);
  return sum;
}

Bodies::Bodies(std::size_t message_bytes)
    : words_(message_bytes / sizeof(std::uint64_t)), count_(words_ == 0 ? 1 : bodies_for(message_bytes)) {
  if (words_ == 0 || message_bytes % sizeof(std::uint64_t) != 0) {
    throw std::invalid_argument(
        fmt::format("message size {}: expected a multiple of 8 that is at least 8", message_bytes));
  }
  pool_.resize(words_ * count_);
  std::uint64_t state = message_bytes;
  for (auto& word : pool_) word = next_random(state);
  for (std::size_t body = 0; body < count_; ++body) {
    const auto begin = pool_.begin() + static_cast<std::ptrdiff_t>(body * words_);
    sums_.push_back(
        std::accumulate(begin + 1, begin + static_cast<std::ptrdiff_t>(words_), std::uint64_t{0}));
  }
}

Source::Source(std::size_t message_bytes) : Bodies(message_bytes) {
  for (std::size_t body = 0; body < count_; ++body) pool_[body * words_] = body;
  if (stamped()) stamp_kept_ = pool_[stamp_at_];
}

std::uint64_t Checker::stamp_change(const std::byte* message) {
  if (++stamp_at_ == words_) stamp_at_ = 1;
  if (const auto word = word_at(message, stamp_at_); word != stamp(sequence_)) {
    throw std::runtime_error(fmt::format("message {}: word {} is {:#x}, expected the stamp {:#x}", sequence_,
                                         stamp_at_, word, stamp(sequence_)));
  }
  return stamp(sequence_) - pool_[stamp_at_];
}

void Checker::fail_size(std::size_t size) const {
  throw std::runtime_error(
      fmt::format("message {}: {} bytes came, expected {}", sequence_, size, words_ * 8));
}

void Checker::fail_content(std::uint64_t first, std::uint64_t sum, std::uint64_t expected) const {
  throw std::runtime_error(
      fmt::format("message {}: sequence {} came with the sum {:#x}, expected the sum {:#x}", sequence_,
                  first & kSequenceMask, sum, expected));
}

std::uint64_t check_generated(Bytes message, std::uint64_t sequence) {
  const auto* const words = reinterpret_cast<const std::uint64_t*>(message.data());
  const auto count = message.size() / sizeof(std::uint64_t);
  const auto base = sequence * 3;
  std::uint64_t wrong = (words[0] & kSequenceMask) ^ sequence;
  for (std::size_t i = 1; i < count; ++i) wrong |= words[i] ^ (base + i);
  if (wrong != 0) throw std::runtime_error(fmt::format("generated message {}: wrong content", sequence));
  return words[0];
}

}  // namespace sluice::bench

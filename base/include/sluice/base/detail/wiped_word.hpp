// A word of this process that reads 0 in every process forked from it.
#pragma once

#include <atomic>
#include <cstdint>

#pragma GCC visibility push(default)

namespace sluice::base {

/// Owns the word, which is alone on a page that the kernel empties in the child of every fork or clone. If it
/// can't (Linux before 4.14, no memory for a page), children keep the value, and forks go unnoticed.
class WipedWord {
 public:
  explicit WipedWord(std::uint64_t value) noexcept;
  WipedWord(const WipedWord&) = delete;
  WipedWord& operator=(const WipedWord&) = delete;
  ~WipedWord();

  std::atomic<std::uint64_t>& operator*() const noexcept { return *word_; }
  std::atomic<std::uint64_t>* operator->() const noexcept { return word_; }

 private:
  std::atomic<std::uint64_t> never_wiped_;  // used if there is no page
  std::atomic<std::uint64_t>* word_;
};

}  // namespace sluice::base

#pragma GCC visibility pop

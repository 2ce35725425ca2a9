#include "fork_generation.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

namespace sluice::detail {
namespace {

using Word = std::atomic<std::uint64_t>;

// The last number handed out; inherited by children, so that theirs go on from it and differ.
Word last_generation{0};

// A word that reads 0 in a forked child until it is set there; null where the kernel can't do that.
Word* map_wiped_word() noexcept {
  const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* page = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  if (::madvise(page, page_bytes, MADV_WIPEONFORK) != 0) {
    ::munmap(page, page_bytes);
    return nullptr;
  }
  return new (page) Word(0);
}

}  // namespace

std::uint64_t fork_generation() noexcept {
  static Word* const word = map_wiped_word();
  if (word == nullptr) return static_cast<std::uint64_t>(::getpid());
  // Relaxed throughout: the number is compared, it publishes nothing.
  std::uint64_t generation = word->load(std::memory_order_relaxed);
  if (generation != 0) return generation;
  const std::uint64_t fresh = last_generation.fetch_add(1, std::memory_order_relaxed) + 1;
  // Two threads of a new process may arrive here together: the first one's number stands.
  return word->compare_exchange_strong(generation, fresh, std::memory_order_relaxed) ? fresh : generation;
}

}  // namespace sluice::detail

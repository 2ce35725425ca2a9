#include "fork_generation.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <new>

#include "sluice/ipc/detail/fork_guard.hpp"

namespace sluice::detail {
namespace {

using Word = std::atomic<std::uint64_t>;

// The last number handed out; inherited by children, so that theirs go on from it and differ.
Word last_generation{0};

// Where the kernel can't empty a page in the child, every process keeps the number of the first: forks go
// unnoticed.
Word never_wiped{0};

// A word that reads 0 in a forked child until it is set there.
Word& map_wiped_word() noexcept {
  const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* page = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return never_wiped;
  if (::madvise(page, page_bytes, MADV_WIPEONFORK) != 0) {
    ::munmap(page, page_bytes);
    return never_wiped;
  }
  return *new (page) Word(0);
}

Word& numbered_word() noexcept {
  static Word& word = map_wiped_word();
  // Relaxed throughout: the number is compared, it publishes nothing.
  if (word.load(std::memory_order_relaxed) == 0) {
    const std::uint64_t fresh = last_generation.fetch_add(1, std::memory_order_relaxed) + 1;
    std::uint64_t none = 0;
    // Two threads of a new process may arrive here together: the first one's number stands.
    word.compare_exchange_strong(none, fresh, std::memory_order_relaxed);
  }
  return word;
}

}  // namespace

std::uint64_t fork_generation() noexcept {
  return numbered_word().load(std::memory_order_relaxed);
}

const std::atomic<std::uint64_t>& fork_word() noexcept {
  return numbered_word();
}

}  // namespace sluice::detail

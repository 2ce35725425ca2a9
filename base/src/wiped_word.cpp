#include "sluice/base/detail/wiped_word.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace sluice::base {
namespace {

std::size_t page_bytes() noexcept {
  return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

void* map_wiped_page() noexcept {
  void* const page =
      ::mmap(nullptr, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  if (::madvise(page, page_bytes(), MADV_WIPEONFORK) == 0) return page;
  ::munmap(page, page_bytes());
  return nullptr;
}

}  // namespace

WipedWord::WipedWord(std::uint64_t value) noexcept : never_wiped_(value), word_(&never_wiped_) {
  if (void* const page = map_wiped_page()) word_ = ::new (page) std::atomic<std::uint64_t>(value);
}

WipedWord::~WipedWord() {
  if (word_ != &never_wiped_) ::munmap(word_, page_bytes());
}

}  // namespace sluice::base

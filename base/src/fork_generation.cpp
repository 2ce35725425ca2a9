#include "sluice/base/detail/fork_generation.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <new>
#include <string>

#include "sluice/base/detail/wiped_word.hpp"
#include "sluice/base/error.hpp"

namespace sluice::base {
namespace {

// The last number handed out; inherited by children, so that theirs go on from it and differ.
std::atomic<std::uint64_t> last_generation{0};

// The present process's number; 0 in a forked child until it is set there. Never destroyed: threads may ask
// at the very end of the program.
std::atomic<std::uint64_t>& own_generation() noexcept {
  alignas(WipedWord) static std::array<std::byte, sizeof(WipedWord)> room;
  static const auto* const word = ::new (room.data()) WipedWord(0);
  return **word;
}

}  // namespace

std::uint64_t fork_generation() noexcept {
  // Relaxed throughout: the number is compared, it publishes nothing.
  std::atomic<std::uint64_t>& word = own_generation();
  if (const std::uint64_t number = word.load(std::memory_order_relaxed); number != 0) return number;
  const std::uint64_t fresh = last_generation.fetch_add(1, std::memory_order_relaxed) + 1;
  std::uint64_t none = 0;
  // Two threads of a new process may arrive here together: the first one's number stands.
  return word.compare_exchange_strong(none, fresh, std::memory_order_relaxed) ? fresh : none;
}

void throw_moved(const char* object) {
  throw error(errc::misuse, std::string(object) + " was used after it was moved from");
}

void OwnerProcess::throw_inherited(const char* object) {
  throw error(errc::misuse, std::string(object) +
                                " was inherited through fork(): only the process that made it may use it");
}

}  // namespace sluice::base

#include "sluice/base/detail/event.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/base/error.hpp"

namespace sluice::base {

Event::Event(const std::string& purpose) : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!descriptor_) throw_errno("making an eventfd for " + purpose);
}

void Event::set() const noexcept {
  const std::uint64_t one = 1;
  // It can only fail if the counter is full: then the descriptor is readable all the same.
  [[maybe_unused]] const ssize_t written = ::write(fd(), &one, sizeof one);
}

void Event::clear() const noexcept {
  std::uint64_t count = 0;
  // It can only fail if the counter is zero: then there was nothing to clear.
  [[maybe_unused]] const ssize_t count_read = ::read(fd(), &count, sizeof count);
}

bool Event::is_set() const noexcept {
  return is_readable(fd());
}

}  // namespace sluice::base

#include "sluice/base/descriptor.hpp"

#include <unistd.h>

namespace sluice {

void Descriptor::reset(int fd) noexcept {
  const int old = std::exchange(fd_, fd);
  if (old >= 0) ::close(old);
}

}  // namespace sluice

#include "sluice/ring/detail/copy_payload.hpp"

namespace sluice::ring {

void copy_large_payload(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  std::memcpy(to, from, bytes);
}

}  // namespace sluice::ring

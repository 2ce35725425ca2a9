#include "sluice/base/detail/random_bytes.hpp"

#include <sys/random.h>
#include <sys/types.h>

#include <cerrno>

#include "sluice/base/error.hpp"

namespace sluice::base {

void fill_random(std::span<std::uint8_t> bytes, const std::string& what) {
  ssize_t got = 0;
  do {
    got = ::getrandom(bytes.data(), bytes.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(bytes.size())) throw_errno("getrandom for " + what);
}

}  // namespace sluice::base

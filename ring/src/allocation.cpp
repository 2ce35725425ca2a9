#include "allocation.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "memory_group.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ring {
namespace {

[[noreturn]] void refuse(int code, std::uint64_t bytes, const std::string& why) {
  throw error(std::error_code(code, std::system_category()),
              "allocating a region of " + std::to_string(bytes) + " bytes" + why);
}

void check_size_of_files(std::uint64_t bytes) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || bytes <= limit.rlim_cur)
    return;
  refuse(EFBIG, bytes,
         ", of which the limit on the size of files (ulimit -f) allows " + std::to_string(limit.rlim_cur));
}

void check_memory_group(std::uint64_t all_bytes, std::uint64_t bytes) {
  const std::uint64_t room = room_in_memory_group(bytes);
  if (bytes > room)
    refuse(ENOMEM, all_bytes, ", while the memory group allows " + std::to_string(room) + " more");
}

}  // namespace

void allocate(int fd, std::uint64_t bytes, bool in_memory) {
  check_size_of_files(bytes);
  // In steps, so that what others take meanwhile is seen.
  constexpr std::uint64_t kStep = std::uint64_t{16} << 20U;
  for (std::uint64_t done = 0; done < bytes;) {
    if (in_memory) check_memory_group(bytes, bytes - done);
    const std::uint64_t step = std::min(kStep, bytes - done);
    if (::fallocate(fd, 0, static_cast<off_t>(done), static_cast<off_t>(step)) == 0) {
      done += step;
    } else if (errno != EINTR) {
      refuse(errno, bytes, "");
    }
  }
}

}  // namespace sluice::ring

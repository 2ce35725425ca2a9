// Giving a region's memory a place, so that writing to it can't fail later.
#pragma once

#include <cstdint>

namespace sluice::ring {

/// Allocates the first `bytes` of a file. Throws the system's error: ENOSPC, ENOMEM, EFBIG. Two limits would
/// end the process instead, so they are looked at before: that on the size of files (RLIMIT_FSIZE, by
/// SIGXFSZ), and for `in_memory` that of the memory group (by SIGKILL). The latter is an estimate: others in
/// the group allocate, too.
void allocate(int fd, std::uint64_t bytes, bool in_memory);

}  // namespace sluice::ring

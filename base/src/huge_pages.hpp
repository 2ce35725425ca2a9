// Pages of 2 MiB for a file on a tmpfs. The kernel needs longer to find, charge and enter a page of 4 KiB
// than to fill it, so a file that has huge pages is written, read and removed faster.
#pragma once

#include <cstdint>

namespace sluice::base {

/// Reserves huge pages for an empty file that is about to get `bytes` bytes, for the first GiB of them at
/// most. Returns how long the file is now, by zeroes: at most `bytes`, whole pages.
///
/// An offer to the kernel, and no error if it isn't taken: another file system, a short file, no such
/// pages, a kernel before 6.1 (madvise(2), MADV_COLLAPSE). To be called before there are threads that use the
/// processors, because the kernel waits until each processor has emptied its list of fresh pages.
std::uint64_t reserve_huge_pages(int fd, std::uint64_t bytes) noexcept;

}  // namespace sluice::base

#include "shared_memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace sluice::bench {
namespace {

[[noreturn]] void fail(const char* call, std::size_t bytes) {
  throw std::system_error(errno, std::system_category(),
                          fmt::format("{} of {} bytes for a benchmark", call, bytes));
}

std::size_t whole_pages(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

class Memfd {
 public:
  explicit Memfd(std::size_t bytes) : fd_(memfd_create("sluice-bench", MFD_CLOEXEC)) {
    if (fd_ < 0) fail("memfd_create", bytes);
    if (fallocate(fd_, 0, 0, static_cast<off_t>(bytes)) != 0) {
      const auto saved = errno;
      close(fd_);
      errno = saved;
      fail("fallocate", bytes);
    }
  }
  ~Memfd() { close(fd_); }
  Memfd(const Memfd&) = delete;
  Memfd& operator=(const Memfd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

SharedMemory::SharedMemory(std::size_t bytes, Layout layout) : mapped_bytes_(whole_pages(bytes)) {
  const Memfd file(mapped_bytes_);
  const auto view_bytes = mapped_bytes_;
  if (layout == Layout::twice) mapped_bytes_ *= 2;
  void* const reserved = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (reserved == MAP_FAILED) fail("mmap", mapped_bytes_);
  address_ = static_cast<std::byte*>(reserved);
  for (std::size_t offset = 0; offset < mapped_bytes_; offset += view_bytes) {
    void* const view = mmap(address_ + offset, view_bytes, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_FIXED | MAP_POPULATE, file.get(), 0);
    if (view == MAP_FAILED) {
      const auto saved = errno;
      munmap(address_, mapped_bytes_);
      errno = saved;
      fail("mmap", view_bytes);
    }
  }
}

SharedMemory::~SharedMemory() {
  if (address_ != nullptr) munmap(address_, mapped_bytes_);
}

void SharedMemory::touch() const noexcept {
#ifdef MADV_POPULATE_WRITE
  if (madvise(address_, mapped_bytes_, MADV_POPULATE_WRITE) == 0) return;
#endif
  // An older kernel: read every page. The volatile keeps the loads.
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (std::size_t offset = 0; offset < mapped_bytes_; offset += page) {
    static_cast<void>(*static_cast<const volatile std::byte*>(address_ + offset));
  }
}

}  // namespace sluice::bench

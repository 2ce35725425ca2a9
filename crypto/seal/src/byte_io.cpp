#include "sluice/crypto/seal/byte_io.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <istream>
#include <ostream>
#include <string>

#include "sluice/base/atomic_file.hpp"
#include "sluice/base/detail/event.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
namespace {

std::string descriptor_name(int fd) {
  return "descriptor " + std::to_string(fd);
}

void copy_bytes(std::span<std::byte> to, std::span<const std::byte> from) {
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

}  // namespace

std::optional<std::span<const std::byte>> ByteSource::take(std::size_t /*size*/) {
  return std::nullopt;
}

std::optional<std::span<std::byte>> ByteSink::claim(std::size_t /*size*/) {
  return std::nullopt;
}

std::size_t read_full(ByteSource& source, std::span<std::byte> into) {
  std::size_t total = 0;
  while (total < into.size()) {
    const std::size_t count = source.read(into.subspan(total));
    if (count == 0) break;
    if (count > into.size() - total)
      throw error(sluice::errc::misuse, "a byte source returned more than was asked for");
    total += count;
  }
  return total;
}

// A regular file is never waited for. Without an eventfd (the table of descriptors is full) a source works,
// and can't be interrupted.
FdSource::FdSource(int fd, const std::string& name)
    : fd_(fd), name_(name.empty() ? descriptor_name(fd) : name) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || S_ISREG(status.st_mode)) return;
  try {
    interruption_ = std::make_unique<base::Event>("interrupting a read");
  } catch (const error&) {
    return;
  }
}

FdSource::~FdSource() = default;

std::size_t FdSource::read(std::span<std::byte> into) {
  for (;;) {
    if (interruption_) wait_until_readable();
    const ssize_t count = ::read(fd_, into.data(), into.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EAGAIN) {
      wait_until_readable();
    } else if (errno != EINTR) {
      throw_errno("read " + name_);
    }
  }
}

void FdSource::wait_until_readable() const {
  std::array<pollfd, 2> wait{
      pollfd{.fd = fd_, .events = POLLIN, .revents = 0},
      // a negative descriptor is left out
      pollfd{.fd = interruption_ ? interruption_->fd() : -1, .events = POLLIN, .revents = 0}};
  (void)base::wait_for_any_event(wait, kNoDeadline);
  if (wait[1].revents != 0) throw error(errc::cancelled, "read " + name_);
}

void FdSource::interrupt() noexcept {
  if (interruption_) interruption_->set();
}

FdSink::FdSink(int fd, const std::string& name) : fd_(fd), name_(name.empty() ? descriptor_name(fd) : name) {}

void FdSink::write(std::span<const std::byte> bytes) {
  base::write_all(fd_, bytes, name_);
}

void AtomicFileSink::write(std::span<const std::byte> bytes) {
  file_->write(bytes);
}

FdRandomAccess::FdRandomAccess(int fd) : fd_(fd) {
  struct stat status {};
  if (::fstat(fd, &status) < 0) throw_errno("fstat " + descriptor_name(fd));
  if (!S_ISREG(status.st_mode)) {
    throw error(sluice::errc::bad_option, descriptor_name(fd) + ": random access needs a regular file");
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

void FdRandomAccess::read_at(std::uint64_t offset, std::span<std::byte> into) {
  if (base::read_all_at(fd_, into, offset, descriptor_name(fd_)) == into.size()) return;
  throw error(std::make_error_code(std::errc::io_error),
              descriptor_name(fd_) + ": file became shorter than " + std::to_string(offset + into.size()));
}

std::size_t IstreamSource::read(std::span<std::byte> into) {
  stream_->read(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(into.size()));
  if (stream_->bad()) throw error(std::make_error_code(std::errc::io_error), "input stream failed");
  return static_cast<std::size_t>(stream_->gcount());
}

void OstreamSink::write(std::span<const std::byte> bytes) {
  stream_->write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!*stream_) throw error(std::make_error_code(std::errc::io_error), "output stream failed");
}

std::size_t MemorySource::read(std::span<std::byte> into) {
  const auto part = *take(into.size());
  copy_bytes(into, part);
  return part.size();
}

std::optional<std::span<const std::byte>> MemorySource::take(std::size_t size) {
  const auto part = bytes_.subspan(position_, std::min(size, bytes_.size() - position_));
  position_ += part.size();
  return part;
}

void MemorySource::read_at(std::uint64_t offset, std::span<std::byte> into) {
  if (offset > bytes_.size() || into.size() > bytes_.size() - offset) {
    throw error(sluice::errc::bad_option, "read beyond the end of memory");
  }
  copy_bytes(into, bytes_.subspan(offset, into.size()));
}

void MemorySink::write(std::span<const std::byte> bytes) {
  copy_bytes(*claim(bytes.size()), bytes);
}

std::optional<std::span<std::byte>> MemorySink::claim(std::size_t size) {
  if (size > room_.size() - used_) {
    throw error(errc::no_room, "destination of " + std::to_string(room_.size()) + " bytes needs at least " +
                                   std::to_string(used_ + size));
  }
  const auto part = room_.subspan(used_, size);
  used_ += size;
  return part;
}

void VectorSink::write(std::span<const std::byte> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

}  // namespace sluice::crypto

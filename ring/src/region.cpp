#include "sluice/ring/region.hpp"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <utility>

#include "allocation.hpp"
#include "region_mapping.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/detail/safe_directory.hpp"
#include "sluice/ring/error.hpp"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace sluice::ring {
namespace {

namespace bip = boost::interprocess;

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

std::uint64_t page_bytes() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t expected_data_offset() {
  return std::max<std::uint64_t>(kControlOffset + kControlBytes, page_bytes());
}

void check_capacity(std::uint64_t capacity, std::error_code code) {
  const std::uint64_t smallest = std::max(kMinCapacity, page_bytes());
  if (!std::has_single_bit(capacity) || capacity < smallest || capacity > kMaxCapacity) {
    throw error(code, "ring capacity: expected a power of two from " + std::to_string(smallest) + " to " +
                          std::to_string(kMaxCapacity) + " bytes, got " + std::to_string(capacity));
  }
}

void check_replay_window(std::uint64_t capacity, std::uint64_t window, std::error_code code) {
  const std::uint64_t largest = max_replay_window(capacity);
  if (window > largest) {
    throw error(code, "replay window: expected at most " + std::to_string(largest) + " bytes for a ring of " +
                          std::to_string(capacity) + ", got " + std::to_string(window));
  }
  // Otherwise neither the largest record nor the wake-up for room would come out at record boundaries.
  if (window % kRecordAlign != 0) {
    throw error(code, "replay window: expected a multiple of 8 bytes, got " + std::to_string(window));
  }
}

void check_position(const char* name, Position position, std::error_code code) {
  if (position % kRecordAlign != 0) {
    throw error(code, std::string(name) + ": expected a multiple of 8, got " + std::to_string(position));
  }
}

void check_options(const RegionOptions& options) {
  check_region_sizes(options.capacity, options.replay_window);
  check_position("first position", options.first_position, sluice::errc::bad_option);
  check_position("first position of the peer", options.peer_first_position, sluice::errc::bad_option);
}

Descriptor create_memfd() {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int fd = ::memfd_create("sluice", kFlags | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create("sluice", kFlags);  // kernels before 6.3
  if (fd < 0) throw_errno("memfd_create for a region");
  return Descriptor(fd);
}

/// An allocated page that nobody has touched counts as a hole: see check_allocated(). Mapping touches them all,
/// but not on every system (qemu-user).
void touch_every_page(std::span<std::byte> memory) {
  constexpr std::size_t kSmallestPage = 4096;
  for (std::size_t at = 0; at < memory.size(); at += kSmallestPage) memory[at] = std::byte{};
}

RegionHeader make_region_header(const RegionOptions& options) {
  RegionHeader header;
  header.layout_hash = kLayoutHash;
  header.capacity = options.capacity;
  header.data_offset = expected_data_offset();
  header.replay_window = options.replay_window;
  header.first_position = options.first_position;
  header.first_sequence = options.first_sequence;
  header.epoch = options.epoch;
  header.session = options.session;
  header.features = options.features;
  header.end = options.end;
  header.boot = options.boot;
  return header;
}

void write_control_page(ControlPage& control, const RegionOptions& options) {
  // Relaxed: nobody else has the region yet; handing over the descriptor publishes it.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  control.tail.tail.store(options.first_position, kRelaxed);
  control.tail.tail_sequence.store(options.first_sequence, kRelaxed);
  control.history.oldest.store(options.first_position, kRelaxed);
  control.history.oldest_sequence.store(options.first_sequence, kRelaxed);
  control.producer_wait.wait_position.store(out_of_reach(options.peer_first_position), kRelaxed);
  control.producer_wait.closed.store(0, kRelaxed);
  control.release.released.store(options.peer_first_position, kRelaxed);
  control.consumer_wait.wait_position.store(out_of_reach(options.peer_first_position), kRelaxed);
  control.session_peer.epoch.store(options.peer_epoch, kRelaxed);
}

[[noreturn]] void refuse(const std::string& reason) {
  throw error(errc::bad_region, "the peer's region: " + reason);
}

void check_readable(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_WRONLY)
    refuse("expected a descriptor for reading, got one with flags " + std::to_string(flags));
}

void check_seals(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0) refuse("expected a memfd, got a file without seals");
  if ((seals & kSeals) != kSeals)
    refuse("expected the seals " + std::to_string(kSeals) + ", got " + std::to_string(seals));
}

struct stat status_of_file(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw_errno("fstat of the peer's region");
  if (!S_ISREG(status.st_mode))
    refuse("expected a memfd, got a descriptor of file type " + std::to_string(status.st_mode & S_IFMT));
  return status;
}

/// A hole would be filled on our account when we read it, or end in SIGBUS if no memory is left. What is
/// allocated is no measure of it in sealed memory: that counts pages behind the end, too. In a file it is:
/// some file systems call a hole what is allocated and not written yet.
void check_allocated(int fd, const struct stat& status, Backing backing) {
  constexpr std::int64_t kBlockBytes = 512;
  const auto got = backing == Backing::sealed_memory ? std::int64_t{::lseek(fd, 0, SEEK_HOLE)}
                                                     : std::int64_t{status.st_blocks} * kBlockBytes;
  if (got >= status.st_size) return;
  refuse("expected all of its " + std::to_string(status.st_size) + " bytes allocated, got " +
         std::to_string(got));
}

RegionHeader read_header(int fd) {
  RegionHeader header;
  const std::size_t got = base::read_all_at(fd, std::as_writable_bytes(std::span(&header, 1)), 0,
                                            "the header of the peer's region");
  if (got != sizeof header) {
    refuse("expected a header of " + std::to_string(sizeof header) + " bytes, got " + std::to_string(got));
  }
  return header;
}

void check_header(const RegionHeader& header, std::uint64_t size) {
  if (header.magic != kMagic) {
    refuse("expected magic " + std::to_string(kMagic) + ", got " + std::to_string(header.magic));
  }
  if (header.layout_version != kLayoutVersion) {
    throw error(errc::bad_version, "the peer's region: expected layout version " +
                                       std::to_string(kLayoutVersion) + ", got " +
                                       std::to_string(header.layout_version));
  }
  if (header.layout_hash != kLayoutHash) {
    throw error(errc::bad_version, "the peer's region: expected layout hash " + std::to_string(kLayoutHash) +
                                       ", got " + std::to_string(header.layout_hash));
  }
  check_capacity(header.capacity, errc::bad_region);
  check_replay_window(header.capacity, header.replay_window, errc::bad_region);
  check_position("first position of the peer's region", header.first_position, errc::bad_region);
  if (header.data_offset != expected_data_offset()) {
    refuse("expected the data at " + std::to_string(expected_data_offset()) + ", got " +
           std::to_string(header.data_offset));
  }
  if (size != header.data_offset + header.capacity) {
    refuse("expected " + std::to_string(header.data_offset + header.capacity) + " bytes, got " +
           std::to_string(size));
  }
}

/// Looks at a region that another process made: once, and at nothing before its seals. Until they are there
/// the peer can change everything else between our look and our use; from then on it can't. Nor does a
/// descriptor that is none of a memfd get any further: a file system of the peer's own is asked nothing.
RegionHeader check_region(int fd, Backing backing) {
  check_readable(fd);
  if (backing == Backing::sealed_memory) check_seals(fd);
  const struct stat status = status_of_file(fd);
  check_allocated(fd, status, backing);
  const RegionHeader header = read_header(fd);
  check_header(header, static_cast<std::uint64_t>(status.st_size));
  return header;
}

void check_identity(const RegionHeader& header, const SessionId& session, EpochRange epochs) {
  if (header.session != session) refuse("expected this session's id, got another");
  if (header.epoch < epochs.first || header.epoch > epochs.last) {
    std::string expected = std::to_string(epochs.first);
    if (epochs.last != epochs.first) expected += " to " + std::to_string(epochs.last);
    refuse("expected epoch " + expected + ", got " + std::to_string(header.epoch));
  }
}

}  // namespace

void check_region_sizes(std::uint64_t capacity, std::uint64_t replay_window) {
  check_capacity(capacity, sluice::errc::bad_option);
  check_replay_window(capacity, replay_window, sluice::errc::bad_option);
}

OwnedRegion::OwnedRegion() noexcept = default;
OwnedRegion::OwnedRegion(OwnedRegion&&) noexcept = default;
OwnedRegion& OwnedRegion::operator=(OwnedRegion&&) noexcept = default;
OwnedRegion::~OwnedRegion() = default;

OwnedRegion OwnedRegion::create(const RegionOptions& options) {
  OwnedRegion region = create_open(options);
  region.close_up(options);
  return region;
}

/// The region is complete: from here on it can be mapped by others, and, being memory, changed by nobody
/// else.
void OwnedRegion::close_up(const RegionOptions& options) {
  if (draft_) {
    if (options.before_naming) options.before_naming();
    descriptor_ = draft_->open_for_reading();
    draft_->commit();
    draft_.reset();
  } else if (::fcntl(descriptor(), F_ADD_SEALS, kSeals) != 0) {
    throw_errno("sealing a region");
  }
}

void OwnedRegion::remove_file() noexcept {
  if (owner_.inherited()) return;
  if (!file_.empty() && base::is_named(descriptor(), AT_FDCWD, file_.string())) ::unlink(file_.c_str());
}

OwnedRegion OwnedRegion::create_open(const RegionOptions& options) {
  check_options(options);
  OwnedRegion region;
  const RegionHeader header = make_region_header(options);
  if (options.file.empty()) {
    region.descriptor_ = create_memfd();
  } else {
    region.draft_ = std::make_unique<base::AtomicFile>(
        options.file, base::AtomicFileOptions{.mode = 0600, .durable = false});
    region.file_ = options.file;
  }
  const int writable = region.draft_ ? region.draft_->fd() : region.descriptor();
  allocate(writable, header.data_offset + header.capacity, region.draft_ == nullptr);
  region.mapping_ =
      std::make_unique<RegionMapping>(writable, bip::read_write, header.data_offset, header.capacity);
  std::byte* base = region.mapping_->base();
  touch_every_page({base, header.data_offset + header.capacity});
  new (base) RegionHeader(header);
  region.view_ = {header, new (base + kControlOffset) ControlPage{}, base + header.data_offset};
  write_control_page(*region.view_.control, options);
  return region;
}

PeerRegion::PeerRegion() noexcept = default;
PeerRegion::PeerRegion(PeerRegion&&) noexcept = default;
PeerRegion& PeerRegion::operator=(PeerRegion&&) noexcept = default;
PeerRegion::~PeerRegion() = default;

PeerRegion PeerRegion::open(Descriptor&& descriptor, const SessionId& session, EpochRange epochs,
                            Backing backing, const std::function<void(const RegionHeader&)>& accept) {
  const RegionHeader header = check_region(descriptor.get(), backing);
  check_identity(header, session, epochs);
  if (accept) accept(header);
  return map(std::move(descriptor), header);
}

PeerRegion PeerRegion::open_file(const std::filesystem::path& file) {
  // O_NONBLOCK: a FIFO in its place must not hang us.
  Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!descriptor) throw_errno("opening the region in " + file.string());
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0) throw_errno("fstat of the region in " + file.string());
  if (status.st_uid != ::geteuid() || !S_ISREG(status.st_mode)) {
    throw error(sluice::errc::unsafe_place,
                "the region in " + file.string() + ": expected a regular file of user " +
                    std::to_string(::geteuid()) + ", got one of " + std::to_string(status.st_uid) +
                    " with mode " + base::octal(status.st_mode));
  }
  const RegionHeader header = check_region(descriptor.get(), Backing::file);
  return map(std::move(descriptor), header);
}

PeerRegion PeerRegion::map(Descriptor&& descriptor, const RegionHeader& header) {
  PeerRegion region;
  region.mapping_ =
      std::make_unique<RegionMapping>(descriptor.get(), bip::read_only, header.data_offset, header.capacity);
  region.descriptor_ = std::move(descriptor);
  const std::byte* base = region.mapping_->base();
  region.view_ = {header, reinterpret_cast<const ControlPage*>(base + kControlOffset),
                  base + header.data_offset};
  return region;
}

}  // namespace sluice::ring

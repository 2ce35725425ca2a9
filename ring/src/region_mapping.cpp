#include "region_mapping.hpp"

#include <sys/mman.h>

#include <boost/interprocess/exceptions.hpp>
#include <string>
#include <utility>

#include "sluice/base/error.hpp"

namespace sluice::ring {
namespace {

namespace bip = boost::interprocess;

/// What Boost.Interprocess needs to map a descriptor that is not one of its own objects.
struct MappableDescriptor {
  bip::mapping_handle_t handle;
  bip::mapping_handle_t get_mapping_handle() const noexcept { return handle; }
};

/// An inaccessible stretch of addresses. Fixed mappings replace it from the front; the rest is given back.
class Reservation {
 public:
  explicit Reservation(std::size_t bytes) : bytes_(bytes) {
    void* address = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED) throw_errno("reserving " + std::to_string(bytes) + " bytes of address space");
    front_ = static_cast<std::byte*>(address);
  }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation() {
    if (bytes_ > 0) ::munmap(front_, bytes_);
  }

  std::byte* front() const noexcept { return front_; }

  /// The first `bytes` now belong to a mapping that unmaps them itself.
  void give_up_front(std::size_t bytes) noexcept {
    front_ += bytes;
    bytes_ -= bytes;
  }

 private:
  std::byte* front_ = nullptr;
  std::size_t bytes_;
};

bip::mapped_region map_at(int descriptor, bip::mode_t mode, std::uint64_t offset, std::uint64_t bytes,
                          Reservation& reservation) {
  try {
    bip::mapped_region region(MappableDescriptor{{descriptor, false}}, mode,
                              static_cast<bip::offset_t>(offset), bytes, reservation.front(),
                              MAP_FIXED | MAP_POPULATE);
    reservation.give_up_front(bytes);
    return region;
  } catch (const bip::interprocess_exception& failure) {
    throw_errno(failure.get_native_error(),
                "mapping " + std::to_string(bytes) + " bytes of a region (" + failure.what() + ")");
  }
}

}  // namespace

RegionMapping::RegionMapping(int descriptor, bip::mode_t mode, std::uint64_t data_offset,
                             std::uint64_t capacity) {
  Reservation reservation(data_offset + 2 * capacity);
  first_ = map_at(descriptor, mode, 0, data_offset + capacity, reservation);
  second_ = map_at(descriptor, mode, data_offset, capacity, reservation);
}

}  // namespace sluice::ring

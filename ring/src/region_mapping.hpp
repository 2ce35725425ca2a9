// The address range of a region: header, control page and data once, then the data a second time.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>

namespace sluice::ring {

/// Maps [0, data_offset + capacity) of a descriptor, and directly behind it the data once more, so that every
/// record is contiguous. Unmaps on destruction.
class RegionMapping {
 public:
  /// Throws sluice::error with the errno of the call that failed.
  RegionMapping(int descriptor, boost::interprocess::mode_t mode, std::uint64_t data_offset,
                std::uint64_t capacity);

  std::byte* base() const noexcept { return static_cast<std::byte*>(first_.get_address()); }

 private:
  boost::interprocess::mapped_region first_;
  boost::interprocess::mapped_region second_;
};

}  // namespace sluice::ring

// Packed values in memory that is on the stack while they are small.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <msgpack.hpp>
#include <span>
#include <vector>

#include "sluice/codec/variant.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec::detail {

/// Writes a value that is packed already, as it is.
template <typename Packer>
void pack_packed(Packer& packer, std::span<const std::byte> value) {
  packer.pack_bin_body(reinterpret_cast<const char*>(value.data()), static_cast<std::uint32_t>(value.size()));
}

/// A msgpack stream. Thread-safety: one thread.
class PackBuffer {
 public:
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): small_ isn't read where it wasn't written
  PackBuffer() noexcept = default;
  PackBuffer(const PackBuffer&) = delete;
  PackBuffer& operator=(const PackBuffer&) = delete;
  ~PackBuffer() = default;

  template <typename T>
  void pack(const T& value) {
    msgpack::packer<PackBuffer>(*this).pack(value);
  }
  /// An array of the values.
  template <typename... T>
  void pack_array(const T&... values) {
    msgpack::packer<PackBuffer> packer(*this);
    packer.pack_array(sizeof...(values));
    (packer.pack(values), ...);
  }

  void write(const char* bytes, std::size_t count) {
    if (large_.empty() && used_ + count <= small_.size()) {
      if (count != 0) std::memcpy(small_.data() + used_, bytes, count);
      used_ += count;
      return;
    }
    if (large_.empty()) large_.assign(small_.data(), small_.data() + used_);
    const auto* const from = reinterpret_cast<const std::byte*>(bytes);
    large_.insert(large_.end(), from, from + count);
  }

  std::span<const std::byte> bytes() const noexcept {
    return large_.empty() ? std::span<const std::byte>(small_.data(), used_) : large_;
  }

 private:
  std::array<std::byte, 512> small_;
  std::size_t used_ = 0;
  std::vector<std::byte> large_;
};

}  // namespace sluice::codec::detail

#pragma GCC visibility pop

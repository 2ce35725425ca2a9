// Reading and writing frames. What every call needs is inlined.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "sluice/codec/frame.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// Reads a frame item by item. The first item that isn't what was asked for makes ok() false; from then on everything
/// is empty. Thread-safety: one thread. The bytes must not change meanwhile: read a private copy.
class FrameReader {
 public:
  explicit FrameReader(std::span<const std::byte> frame) noexcept
      : next_(frame.data()), end_(frame.data() + frame.size()) {}

  /// The number of items of an array, which follow: at most 15.
  std::uint64_t array() noexcept {
    const unsigned tag = byte();
    return tag >= 0x90 && tag <= 0x9f ? tag & 0x0fU : fail();
  }
  std::uint64_t number() noexcept {
    const unsigned tag = byte();
    return tag <= 0x7f ? tag : long_number(tag);
  }
  Id id() noexcept {
    Id id{};
    if (left() < 2 + id.size() || next_[0] != std::byte{0xc4} || next_[1] != std::byte{id.size()}) {
      fail();
      return id;
    }
    std::memcpy(id.data(), next_ + 2, id.size());
    next_ += 2 + id.size();
    return id;
  }
  /// A text of at most `most` bytes, in the frame's memory.
  std::string_view text(std::size_t most) noexcept {
    const unsigned tag = byte();
    const std::uint64_t size = tag >= 0xa0 && tag <= 0xbf ? tag & 0x1fU : long_size(tag);
    if (size > std::min(most, left())) {
      fail();
      return {};
    }
    const auto* const begin = reinterpret_cast<const char*>(next_);
    next_ += size;
    return {begin, size};
  }
  /// Whether these bytes come next; then they are read.
  bool skip(std::span<const std::byte> bytes) noexcept {
    if (left() < bytes.size() || std::memcmp(next_, bytes.data(), bytes.size()) != 0) return false;
    next_ += bytes.size();
    return true;
  }
  /// What hasn't been read.
  std::span<const std::byte> rest() const noexcept { return {next_, end_}; }
  /// Whether everything was as asked for so far.
  bool ok() const noexcept { return ok_; }
  /// ok(), and nothing is left.
  bool whole() const noexcept { return ok_ && next_ == end_; }

 private:
  static constexpr unsigned kNoByte = 0x100;

  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - next_); }
  unsigned byte() noexcept { return next_ == end_ ? kNoByte : std::to_integer<unsigned>(*next_++); }
  std::uint64_t long_number(unsigned tag) noexcept;
  /// More than there can be if it is the tag of no text.
  std::uint64_t long_size(unsigned tag) noexcept;
  std::uint64_t big_endian(std::size_t bytes) noexcept;
  std::uint64_t fail() noexcept {
    ok_ = false;
    next_ = end_;
    return 0;
  }

  const std::byte* next_;
  const std::byte* end_;
  bool ok_ = true;
};

/// Writes the beginning of a frame: everything but what may be large. Texts are cut so that the whole fits.
/// Thread-safety: one thread.
class FrameHead {
 public:
  /// `items`: of the frame, the kind included; at most 15.
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): what isn't used isn't read
  FrameHead(FrameKind kind, unsigned items) noexcept {
    put(0x90U | items);
    put(static_cast<unsigned>(kind));
  }

  FrameHead& number(std::uint64_t number) noexcept;
  FrameHead& id(const Id& id) noexcept {
    std::byte* const to = bytes_.data() + used_;
    to[0] = std::byte{0xc4};
    to[1] = static_cast<std::byte>(id.size());
    std::memcpy(to + 2, id.data(), id.size());
    used_ += 2 + id.size();
    return *this;
  }
  FrameHead& text(std::string_view text) noexcept {
    if (text.size() > kShortText || text.size() >= bytes_.size() - used_) return long_text(text);
    put(0xa0U | static_cast<unsigned>(text.size()));
    return characters(text);
  }

  std::span<const std::byte> bytes() const noexcept { return std::span(bytes_).first(used_); }

 private:
  static constexpr std::size_t kShortText = 0x1f;

  void put(unsigned byte) noexcept { bytes_[used_++] = static_cast<std::byte>(byte); }
  void put_big_endian(std::uint64_t number, unsigned bytes) noexcept;
  FrameHead& long_text(std::string_view text) noexcept;
  FrameHead& characters(std::string_view text) noexcept {
    if (!text.empty()) std::memcpy(bytes_.data() + used_, text.data(), text.size());
    used_ += text.size();
    return *this;
  }

  std::array<std::byte, 1200> bytes_;
  std::size_t used_ = 0;
};

}  // namespace sluice::codec

#pragma GCC visibility pop

#include "sluice/codec/frame.hpp"

#include <algorithm>
#include <cstring>

#include "sluice/base/detail/random_bytes.hpp"

namespace sluice::codec {

Id random_id() {
  Id id;
  base::fill_random(id, "an id");
  return id;
}

std::string_view to_string(RemoteCode code) noexcept {
  switch (code) {
    case RemoteCode::no_such_actor:
      return "no such actor";
    case RemoteCode::no_such_member:
      return "no such method or state";
    case RemoteCode::bad_arguments:
      return "bad arguments";
    case RemoteCode::failed:
      return "failed";
    case RemoteCode::cancelled:
      return "cancelled";
    case RemoteCode::bad_options:
      return "bad options";
    case RemoteCode::duplicate_stream:
      return "duplicate stream";
    case RemoteCode::foreign_stream:
      return "stream of another client";
    case RemoteCode::too_slow:
      return "too slow";
    case RemoteCode::too_many:
      return "too many";
    case RemoteCode::too_large:
      return "too large";
  }
  return "unknown error";
}

std::string_view to_string(StreamVerdict verdict) noexcept {
  switch (verdict) {
    case StreamVerdict::started:
      return "started";
    case StreamVerdict::resumed:
      return "resumed";
    case StreamVerdict::gap:
      return "gap";
    case StreamVerdict::restarted:
      return "restarted";
  }
  return "unknown verdict";
}

std::string_view to_string(StreamEnd reason) noexcept {
  switch (reason) {
    case StreamEnd::completed:
      return "completed";
    case StreamEnd::actor_terminated:
      return "actor terminated";
    case StreamEnd::client_unsubscribed:
      return "client unsubscribed";
    case StreamEnd::connection_closed:
      return "connection closed";
    case StreamEnd::error:
      return "error";
  }
  return "unknown reason";
}

std::uint64_t FrameReader::fail() noexcept {
  ok_ = false;
  left_ = {};
  return 0;
}

std::span<const std::byte> FrameReader::take(std::size_t bytes) noexcept {
  if (bytes > left_.size()) {
    fail();
    return {};
  }
  const auto taken = left_.first(bytes);
  left_ = left_.subspan(bytes);
  return taken;
}

std::uint64_t FrameReader::big_endian(std::size_t bytes) noexcept {
  std::uint64_t number = 0;
  for (const std::byte byte : take(bytes)) number = number << 8 | std::to_integer<std::uint64_t>(byte);
  return number;
}

std::uint64_t FrameReader::array() noexcept {
  const auto tag = big_endian(1);
  return tag >= 0x90 && tag <= 0x9f ? tag & 0x0f : fail();
}

std::uint64_t FrameReader::number() noexcept {
  if (!left_.empty() && left_.front() <= std::byte{0x7f}) [[likely]] {
    const auto small = std::to_integer<std::uint64_t>(left_.front());
    left_ = left_.subspan(1);
    return small;
  }
  const auto tag = big_endian(1);
  if (tag >= 0xcc && tag <= 0xcf) return big_endian(std::size_t{1} << (tag - 0xcc));
  return fail();
}

Id FrameReader::id() noexcept {
  Id id{};
  const auto bytes = take(2 + id.size());
  if (bytes.empty() || bytes[0] != std::byte{0xc4} || bytes[1] != std::byte{id.size()}) {
    fail();
    return id;
  }
  std::memcpy(id.data(), bytes.data() + 2, id.size());
  return id;
}

std::string_view FrameReader::text(std::size_t most) noexcept {
  const auto tag = big_endian(1);
  std::uint64_t size = most + 1;
  if (tag >= 0xa0 && tag <= 0xbf) size = tag & 0x1f;
  if (tag >= 0xd9 && tag <= 0xdb) size = big_endian(std::size_t{1} << (tag - 0xd9));
  if (size > most) {
    fail();
    return {};
  }
  const auto bytes = take(size);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): see there
FrameHead::FrameHead(FrameKind kind, unsigned items) noexcept {
  put(0x90U | items);
  put(static_cast<unsigned>(kind));
}

void FrameHead::put_big_endian(std::uint64_t number, unsigned bytes) noexcept {
  for (unsigned shift = bytes * 8; shift != 0; shift -= 8) put(number >> (shift - 8) & 0xff);
}

FrameHead& FrameHead::number(std::uint64_t number) noexcept {
  if (number <= 0x7f) {
    put(static_cast<unsigned>(number));
  } else if (number <= 0xff) {
    put(0xcc);
    put_big_endian(number, 1);
  } else if (number <= 0xffff) {
    put(0xcd);
    put_big_endian(number, 2);
  } else if (number <= 0xffff'ffff) {
    put(0xce);
    put_big_endian(number, 4);
  } else {
    put(0xcf);
    put_big_endian(number, 8);
  }
  return *this;
}

FrameHead& FrameHead::id(const Id& id) noexcept {
  put(0xc4);
  put(static_cast<unsigned>(id.size()));
  std::memcpy(bytes_.data() + used_, id.data(), id.size());
  used_ += id.size();
  return *this;
}

FrameHead& FrameHead::text(std::string_view text) noexcept {
  constexpr std::size_t kPrefix = 3;
  const auto size = std::min({text.size(), kMaxTextBytes, bytes_.size() - used_ - kPrefix});
  if (size <= 0x1f) {
    put(0xa0U | static_cast<unsigned>(size));
  } else if (size <= 0xff) {
    put(0xd9);
    put_big_endian(size, 1);
  } else {
    put(0xda);
    put_big_endian(size, 2);
  }
  if (size != 0) std::memcpy(bytes_.data() + used_, text.data(), size);
  used_ += size;
  return *this;
}

}  // namespace sluice::codec

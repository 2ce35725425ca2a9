#include "sluice/codec/frame.hpp"

#include <algorithm>

#include "sluice/base/detail/random_bytes.hpp"
#include "sluice/codec/frame_io.hpp"

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

std::uint64_t FrameReader::big_endian(std::size_t bytes) noexcept {
  if (bytes > left()) return fail();
  std::uint64_t number = 0;
  for (; bytes != 0; --bytes) number = number << 8 | byte();
  return number;
}

std::uint64_t FrameReader::long_number(unsigned tag) noexcept {
  return tag >= 0xcc && tag <= 0xcf ? big_endian(std::size_t{1} << (tag - 0xcc)) : fail();
}

std::uint64_t FrameReader::long_size(unsigned tag) noexcept {
  return tag >= 0xd9 && tag <= 0xdb ? big_endian(std::size_t{1} << (tag - 0xd9)) : ~std::uint64_t{0};
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

FrameHead& FrameHead::long_text(std::string_view text) noexcept {
  constexpr std::size_t kPrefix = 3;
  const auto size = std::min({text.size(), kMaxTextBytes, bytes_.size() - used_ - kPrefix});
  if (size <= 0xff) {
    put(0xd9);
    put_big_endian(size, 1);
  } else {
    put(0xda);
    put_big_endian(size, 2);
  }
  return characters(text.substr(0, size));
}

}  // namespace sluice::codec

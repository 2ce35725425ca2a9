// The wire format of port streams: encoding and decoding of single frames, without state or I/O.
//
//   type u8 | id u32 big-endian | payload
//
//   type  value  payload                                              id
//   DATA  0      the block                                            0, 1, 2 ... per stream, modulo 2^32
//   ACK   1      0x01 handled [window u32 big-endian]                 the DATA's id; answers all before, too
//                0x00 rejected [reason, a UTF-8 JSON string]
//   END   2      none                                                 number of DATA sent
//   ERROR 3      the message, a UTF-8 JSON string                     number of blocks begun
//
// docs/port-streams.md explains who sends what when.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace sluice::ipc {

/// The number of a block in its stream; wraps.
using BlockId = std::uint32_t;

enum class FrameType : std::uint8_t { data = 0, ack = 1, end = 2, error = 3 };

inline constexpr std::size_t kFrameHeaderBytes = 5;
/// A reason or message beyond this many bytes is cut when it is sent, and not parsed when it comes.
inline constexpr std::size_t kMaxTextBytes = 16384;

/// A decoded frame; the payload lies in the bytes that were decoded.
struct Frame {
  FrameType type;
  BlockId id;
  std::span<const std::byte> payload;
};

/// Big-endian; of the first four bytes.
inline std::uint32_t read_u32(std::span<const std::byte> bytes) noexcept {
  const auto at = [bytes](std::size_t i) { return std::to_integer<std::uint32_t>(bytes[i]); };
  return (at(0) << 24U) | (at(1) << 16U) | (at(2) << 8U) | at(3);
}

/// Whether it is a DATA frame.
inline bool is_data(std::span<const std::byte> message) noexcept {
  return message.size() >= kFrameHeaderBytes && message[0] == std::byte{0};
}

/// Of a frame of any type.
inline BlockId id_of(std::span<const std::byte> frame) noexcept {
  return read_u32(frame.subspan(1));
}

/// Nothing for what an endpoint must ignore: fewer than 5 bytes, or an unknown type.
inline std::optional<Frame> decode_frame(std::span<const std::byte> message) noexcept {
  if (message.size() < kFrameHeaderBytes) return std::nullopt;
  const auto type = std::to_integer<std::uint8_t>(message[0]);
  if (type > static_cast<std::uint8_t>(FrameType::error)) return std::nullopt;
  return Frame{static_cast<FrameType>(type), id_of(message), message.subspan(kFrameHeaderBytes)};
}

/// What the payload of an ACK says.
struct Answer {
  bool handled = false;
  std::optional<std::uint32_t> window{};     ///< only of a peer that knows credits
  std::span<const std::byte> reason_json{};  ///< only of a rejection
};

/// Any payload is an answer: the first byte 0x01 is handled, everything else a rejection.
Answer decode_answer(std::span<const std::byte> payload) noexcept;

/// The beginning of a frame, ready to send: the header and what precedes the variable part.
class FrameHead {
 public:
  FrameHead(FrameType type, BlockId id) noexcept {
    // Eight bytes, so that they become one store: read in larger pieces than it was written in, a head costs
    // some nanoseconds.
    const std::uint64_t word =
        (static_cast<std::uint64_t>(type) << 56U) | (static_cast<std::uint64_t>(id) << 24U);
    for (std::size_t i = 0; i < sizeof word; ++i)
      bytes_[i] = static_cast<std::byte>((word >> (56U - 8U * i)) & 0xffU);
  }

  /// An ACK, with the window where the receiver gives one.
  static FrameHead handled(BlockId id, std::optional<std::uint32_t> window) noexcept;
  /// A rejecting ACK; the reason (see to_json_string) follows as the body.
  static FrameHead rejected(BlockId id) noexcept;

  std::span<const std::byte> bytes() const noexcept { return {bytes_.data(), size_}; }

 private:
  std::array<std::byte, kFrameHeaderBytes + 5> bytes_{};
  std::uint8_t size_ = kFrameHeaderBytes;
};

/// `text` as a JSON string of at most about kMaxTextBytes bytes; what isn't UTF-8 is replaced.
std::string to_json_string(std::string_view text);

/// What a peer's JSON string says, made printable: what a terminal would obey is escaped as \\xNN, and what is
/// beyond 1024 bytes is cut. If the payload is something else or too long: the payload itself, in quotes.
/// Never throws for what is in the payload.
std::string text_of_peer(std::span<const std::byte> payload);

}  // namespace sluice::ipc

#pragma GCC visibility pop

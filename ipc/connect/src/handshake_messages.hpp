// The packets of the handshake, byte by byte. Little-endian, fixed sizes, one packet each:
//
//   connector -> listener   hello     who is there, and which protocol and layout it speaks
//   listener -> connector   offer     session and epoch; descriptors: the listener's region, its pidfd if any
//   connector -> listener   answer    nothing more; descriptors: the connector's region, its pidfd if any
//   listener -> connector   welcome   the connection stands
//   either, instead         refusal   a code and a text; then the sender hangs up
//
// For a session that can be resumed (see docs/resume.md), where the keeper is the side that has its state:
//
//   connector -> host       session hello    the same, and which session the connector has the state of
//   host -> connector       session request  "you are the keeper: offer it"
//   keeper -> joiner        session offer    session, new epoch; descriptors: the keeper's region, its pidfd
//   if any, the
//                                            region that the joiner goes on from, if any
//   joiner -> keeper        session answer   descriptors: the joiner's new region, its pidfd if any
//   keeper -> joiner        welcome          the connection stands
//   keeper -> who it was    superseded       another process has this end of the session now
//
// Every packet begins with the same prefix:
//
//   offset  bytes  field
//   0       4      "SLHS"
//   4       2      protocol version, 1
//   6       2      type: 1 hello, 2 offer, 3 answer, 4 welcome, 5 refusal, 6 session hello, 7 session
//   request,
//                  8 session offer, 9 session answer, 10 superseded
//
// Behind it:
//
//   hello    layout version u32, layout hash u32                                  16 bytes in all
//   offer    session id, 16 bytes; epoch u64; 1 if a pidfd follows the region,
//            else 0, u32; zero u32                                                40 bytes
//   answer   1 if a pidfd follows the region, else 0, u32; zero u32               16 bytes
//   welcome  nothing                                                              8 bytes
//   refusal  code u32, see RefusalCode; text bytes u32, 0 .. 256; the text      16 .. 272 bytes
//
//   session hello    layout version u32, layout hash u32; 1 if the sender has a session's state, else 0, u32;
//   zero
//                    u32; its session id, 16 bytes; its epoch u64                 48 bytes
//   session offer    session id, 16 bytes; epoch u64; 1 if a pidfd follows the region, else 0, u32; 1 if the
//   region
//                    to go on from follows, else 0, u32                           40 bytes
//   session answer   as answer                                                    16 bytes
//   session request, superseded                                                   8 bytes
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sluice/ipc/port/connect_error.hpp"
#include "sluice/ring/error.hpp"
#include "sluice/ring/layout.hpp"

namespace sluice::ipc {

inline constexpr std::array<std::uint8_t, 4> kHandshakeMagic{'S', 'L', 'H', 'S'};
inline constexpr std::uint16_t kHandshakeVersion = 1;
inline constexpr std::size_t kMaxRefusalTextBytes = 256;

enum class HandshakeType : std::uint16_t {
  hello = 1,
  offer = 2,
  answer = 3,
  welcome = 4,
  refusal = 5,
  session_hello = 6,
  session_request = 7,
  session_offer = 8,
  session_answer = 9,
  superseded = 10
};

/// Why a side refuses, as far as the other can do something about it: the text says more.
enum class RefusalCode : std::uint32_t {
  refused = 0,      ///< arrives as connect_errc::refused, as does every other number
  bad_version = 1,  ///< another version of the protocol or the layout: connect_errc::bad_version
};

struct HandshakePrefix {
  std::array<std::uint8_t, 4> magic = kHandshakeMagic;
  std::uint16_t version = kHandshakeVersion;
  HandshakeType type{};
};

struct Hello {
  static constexpr HandshakeType kType = HandshakeType::hello;
  HandshakePrefix prefix{.type = kType};
  std::uint32_t layout_version = ring::kLayoutVersion;
  std::uint32_t layout_hash = ring::kLayoutHash;
};

struct Offer {
  static constexpr HandshakeType kType = HandshakeType::offer;
  HandshakePrefix prefix{.type = kType};
  ring::SessionId session{};
  std::uint64_t epoch = 0;
  std::uint32_t has_pidfd = 0;
  std::uint32_t reserved = 0;
};

struct Answer {
  static constexpr HandshakeType kType = HandshakeType::answer;
  HandshakePrefix prefix{.type = kType};
  std::uint32_t has_pidfd = 0;
  std::uint32_t reserved = 0;
};

struct Welcome {
  static constexpr HandshakeType kType = HandshakeType::welcome;
  HandshakePrefix prefix{.type = kType};
};

struct SessionHello {
  static constexpr HandshakeType kType = HandshakeType::session_hello;
  HandshakePrefix prefix{.type = kType};
  std::uint32_t layout_version = ring::kLayoutVersion;
  std::uint32_t layout_hash = ring::kLayoutHash;
  std::uint32_t has_state = 0;
  std::uint32_t reserved = 0;
  ring::SessionId session{};
  std::uint64_t epoch = 0;
};

struct SessionRequest {
  static constexpr HandshakeType kType = HandshakeType::session_request;
  HandshakePrefix prefix{.type = kType};
};

struct SessionOffer {
  static constexpr HandshakeType kType = HandshakeType::session_offer;
  HandshakePrefix prefix{.type = kType};
  ring::SessionId session{};
  std::uint64_t epoch = 0;
  std::uint32_t has_pidfd = 0;
  std::uint32_t has_old_region = 0;
};

struct SessionAnswer {
  static constexpr HandshakeType kType = HandshakeType::session_answer;
  HandshakePrefix prefix{.type = kType};
  std::uint32_t has_pidfd = 0;
  std::uint32_t reserved = 0;
};

struct Superseded {
  static constexpr HandshakeType kType = HandshakeType::superseded;
  HandshakePrefix prefix{.type = kType};
};

static_assert(sizeof(SessionHello) == 48 && sizeof(SessionRequest) == 8 && sizeof(SessionOffer) == 40 &&
              sizeof(SessionAnswer) == 16 && sizeof(Superseded) == 8);
static_assert(sizeof(HandshakePrefix) == 8 && sizeof(Hello) == 16 && sizeof(Offer) == 40 &&
              sizeof(Answer) == 16 && sizeof(Welcome) == 8);

/// Decodes a packet of exactly one kind; throws connect_errc::refused for a refusal (with the peer's words),
/// connect_errc::bad_version for another protocol version, connect_errc::protocol for anything else.
template <typename Kind>
Kind decode_packet(std::span<const std::byte> packet);

extern template Hello decode_packet<Hello>(std::span<const std::byte>);
extern template Offer decode_packet<Offer>(std::span<const std::byte>);
extern template Answer decode_packet<Answer>(std::span<const std::byte>);
extern template Welcome decode_packet<Welcome>(std::span<const std::byte>);
extern template SessionHello decode_packet<SessionHello>(std::span<const std::byte>);
extern template SessionRequest decode_packet<SessionRequest>(std::span<const std::byte>);
extern template SessionOffer decode_packet<SessionOffer>(std::span<const std::byte>);
extern template SessionAnswer decode_packet<SessionAnswer>(std::span<const std::byte>);
extern template Superseded decode_packet<Superseded>(std::span<const std::byte>);

/// The type that a packet says it has; throws as decode_packet. For where several may come.
HandshakeType packet_type(std::span<const std::byte> packet);

/// The bytes of a packet.
template <typename Kind>
std::span<const std::byte> encode_packet(const Kind& packet) noexcept {
  return std::as_bytes(std::span(&packet, 1));
}

/// A refusal's bytes; a longer text is cut.
std::vector<std::byte> encode_refusal(const std::error_code& code, const std::string& text);

}  // namespace sluice::ipc

// The packets of the handshake, byte by byte. Little-endian, fixed sizes, one packet each.
//
//   connector                               host
//      hello            ------------------>          what I want; which session's state I have, if any;
//                                                     whether my end has an owner
//         <------------------------  request         you have the state and I haven't: you are the keeper
//
//   keeper                                  joiner
//      offer            ------------------>          my region, my pidfd, the region to go on from
//         <-------------------------  answer         my new region, my pidfd
//      welcome          ------------------>          the connection stands
//
//   either, instead:      refusal       a code and a text; then the sender hangs up
//   keeper to who it was: superseded    another process has this end of the session now
//
// The host is the keeper unless it sends a request. For a plain connection it always is, and nothing is gone
// on from.
//
//   type           bytes      behind the prefix                          descriptors
//   1  hello       48         layout version u32, layout hash u32,       none
//                             kind u32 (1 plain, 2 session),
//                             standing u32 (0 nothing, 1 the state of a
//                             session, 2 my end has a living owner):
//                             session id 16 bytes, epoch u64; else zeros
//   2  request     8          nothing                                    none
//   3  offer       40         session id 16 bytes, epoch u64 (from 1),   the keeper's region; its pidfd;
//                             has pidfd u32, has old region u32 (0, 1)   the region to go on from
//   4  answer      16         has pidfd u32 (0, 1), zero u32             the joiner's region; its pidfd
//   5  welcome     8          nothing                                    none
//   6  refusal     16 .. 272  code u32 (0 refused, 1 another version,    none
//                             2 that end has an owner),
//                             text bytes u32 (0 .. 256), the text in UTF-8
//   7  superseded  8          nothing                                    none
//
// The prefix has 8 bytes: "SLHS", protocol version u16 (2), type u16.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/ring/layout.hpp"

namespace sluice::ipc {

inline constexpr std::array<std::uint8_t, 4> kHandshakeMagic{'S', 'L', 'H', 'S'};
inline constexpr std::uint16_t kHandshakeVersion = 2;
inline constexpr std::size_t kMaxRefusalTextBytes = 256;

enum class HandshakeType : std::uint16_t { hello = 1, request, offer, answer, welcome, refusal, superseded };

/// How a connector stands to the session that it wants.
enum class Standing : std::uint32_t {
  newcomer = 0,
  keeper = 1,  ///< it has the session's state
  second = 2,  ///< another living process owns its end
};

/// A plain connection is a session that is not resumed.
enum class ConnectionKind : std::uint32_t { plain = 1, session = 2 };

template <HandshakeType kKind>
struct HandshakePrefix {
  static constexpr HandshakeType kType = kKind;
  std::array<std::uint8_t, 4> magic = kHandshakeMagic;
  std::uint16_t version = kHandshakeVersion;
  HandshakeType type = kKind;
};

struct Hello {
  HandshakePrefix<HandshakeType::hello> prefix{};
  std::uint32_t layout_version = ring::kLayoutVersion;
  std::uint32_t layout_hash = ring::kLayoutHash;
  ConnectionKind kind = ConnectionKind::plain;
  Standing standing = Standing::newcomer;
  ring::SessionId session{};
  std::uint64_t epoch = 0;
};

struct Request {
  HandshakePrefix<HandshakeType::request> prefix{};
};

struct Offer {
  HandshakePrefix<HandshakeType::offer> prefix{};
  ring::SessionId session{};
  std::uint64_t epoch = 1;
  std::uint32_t has_pidfd = 0;
  std::uint32_t has_old_region = 0;
};

struct Answer {
  HandshakePrefix<HandshakeType::answer> prefix{};
  std::uint32_t has_pidfd = 0;
  std::uint32_t reserved = 0;
};

struct Welcome {
  HandshakePrefix<HandshakeType::welcome> prefix{};
};

struct Superseded {
  HandshakePrefix<HandshakeType::superseded> prefix{};
};

static_assert(sizeof(Hello) == 48 && sizeof(Request) == 8 && sizeof(Offer) == 40 && sizeof(Answer) == 16 &&
              sizeof(Welcome) == 8 && sizeof(Superseded) == 8);

/// A refusal that may pass: the end of the session that was asked for has an owner, who may be about to end.
class EndIsTaken : public error {
 public:
  explicit EndIsTaken(const std::string& detail);
};

/// The type that a packet says it has. Throws connect_errc::refused for a refusal (with the peer's words),
/// connect_errc::bad_version for another protocol version, connect_errc::protocol for what is no packet of a
/// handshake.
HandshakeType packet_type(std::span<const std::byte> packet);

/// Copies a packet of exactly this type and size to `decoded`; throws as packet_type().
void decode_packet(std::span<const std::byte> packet, HandshakeType type, std::span<std::byte> decoded);

template <typename Kind>
Kind decode_packet(std::span<const std::byte> packet) {
  Kind decoded;
  decode_packet(packet, decoded.prefix.kType, std::as_writable_bytes(std::span(&decoded, 1)));
  return decoded;
}

/// The bytes of a packet.
template <typename Kind>
std::span<const std::byte> encode_packet(const Kind& packet) noexcept {
  return std::as_bytes(std::span(&packet, 1));
}

/// A refusal's bytes; a longer text is cut.
std::vector<std::byte> encode_refusal(const error& why);

}  // namespace sluice::ipc

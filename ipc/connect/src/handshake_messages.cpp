#include "handshake_messages.hpp"

#include <algorithm>
#include <cstring>

#include "sluice/base/detail/quoted_text.hpp"

namespace sluice::ipc {
namespace {

struct RefusalHead {
  HandshakePrefix prefix{.type = HandshakeType::refusal};
  RefusalCode code = RefusalCode::refused;
  std::uint32_t text_bytes = 0;
};
static_assert(sizeof(RefusalHead) == 16);

/// The prefix, checked but for its type.
HandshakePrefix decode_prefix(std::span<const std::byte> packet) {
  HandshakePrefix prefix;
  if (packet.size() < sizeof prefix) {
    throw error(connect_errc::protocol,
                "handshake packet: expected at least 8 bytes, got " + std::to_string(packet.size()));
  }
  std::memcpy(&prefix, packet.data(), sizeof prefix);
  if (prefix.magic != kHandshakeMagic)
    throw error(connect_errc::protocol, "handshake packet: it doesn't begin with SLHS");
  if (prefix.version != kHandshakeVersion) {
    throw error(connect_errc::bad_version, "handshake: expected protocol version " +
                                               std::to_string(kHandshakeVersion) + ", got " +
                                               std::to_string(prefix.version));
  }
  return prefix;
}

[[noreturn]] void throw_refusal(std::span<const std::byte> packet) {
  RefusalHead head;
  if (packet.size() < sizeof head) {
    throw error(connect_errc::protocol,
                "handshake: expected a refusal of at least 16 bytes, got " + std::to_string(packet.size()));
  }
  std::memcpy(&head, packet.data(), sizeof head);
  const std::span<const std::byte> text = packet.subspan(sizeof head);
  if (head.text_bytes != text.size() || text.size() > kMaxRefusalTextBytes) {
    throw error(connect_errc::protocol, "handshake: a refusal whose text should have " +
                                            std::to_string(head.text_bytes) + " bytes and has " +
                                            std::to_string(text.size()));
  }
  const std::string words(reinterpret_cast<const char*>(text.data()), text.size());
  throw error(head.code == RefusalCode::bad_version ? connect_errc::bad_version : connect_errc::refused,
              "the peer refused: " + base::quoted_text(words));
}

}  // namespace

template <typename Kind>
Kind decode_packet(std::span<const std::byte> packet) {
  const HandshakePrefix prefix = decode_prefix(packet);
  if (prefix.type == HandshakeType::refusal) throw_refusal(packet);
  if (prefix.type != Kind::kType || packet.size() != sizeof(Kind)) {
    throw error(connect_errc::protocol, "handshake: expected packet type " +
                                            std::to_string(static_cast<unsigned>(Kind::kType)) + " of " +
                                            std::to_string(sizeof(Kind)) + " bytes, got type " +
                                            std::to_string(static_cast<unsigned>(prefix.type)) + " of " +
                                            std::to_string(packet.size()));
  }
  Kind decoded;
  std::memcpy(&decoded, packet.data(), sizeof decoded);
  return decoded;
}

template Hello decode_packet<Hello>(std::span<const std::byte>);
template Offer decode_packet<Offer>(std::span<const std::byte>);
template Answer decode_packet<Answer>(std::span<const std::byte>);
template Welcome decode_packet<Welcome>(std::span<const std::byte>);
template SessionHello decode_packet<SessionHello>(std::span<const std::byte>);
template SessionRequest decode_packet<SessionRequest>(std::span<const std::byte>);
template SessionOffer decode_packet<SessionOffer>(std::span<const std::byte>);
template SessionAnswer decode_packet<SessionAnswer>(std::span<const std::byte>);
template Superseded decode_packet<Superseded>(std::span<const std::byte>);

HandshakeType packet_type(std::span<const std::byte> packet) {
  return decode_prefix(packet).type;
}

std::vector<std::byte> encode_refusal(const std::error_code& code, const std::string& text) {
  const std::size_t text_bytes = std::min(text.size(), kMaxRefusalTextBytes);
  RefusalHead head;
  const bool version = code == connect_errc::bad_version || code == ring::errc::bad_version;
  head.code = version ? RefusalCode::bad_version : RefusalCode::refused;
  head.text_bytes = static_cast<std::uint32_t>(text_bytes);
  std::vector<std::byte> packet(sizeof head + text_bytes);
  std::memcpy(packet.data(), &head, sizeof head);
  std::memcpy(packet.data() + sizeof head, text.data(), text_bytes);
  return packet;
}

}  // namespace sluice::ipc

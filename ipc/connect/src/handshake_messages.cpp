#include "handshake_messages.hpp"

#include <algorithm>
#include <cstring>

#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/ipc/connect/connect_error.hpp"
#include "sluice/ipc/port/message_content.hpp"
#include "sluice/ring/error.hpp"

namespace sluice::ipc {
namespace {

/// The codes of a refusal: those that the other side treats differently.
constexpr std::uint32_t kRefused = 0;
constexpr std::uint32_t kOtherVersion = 1;
constexpr std::uint32_t kEndIsTaken = 2;

struct RefusalHead {
  HandshakePrefix<HandshakeType::refusal> prefix{};
  std::uint32_t code = kRefused;
  std::uint32_t text_bytes = 0;
};
static_assert(sizeof(RefusalHead) == 16);

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
  const std::string detail = "the peer refused: " + base::quoted_text(text_of(text));
  if (head.code == kEndIsTaken) throw EndIsTaken(detail);
  throw error(head.code == kOtherVersion ? connect_errc::bad_version : connect_errc::refused, detail);
}

std::uint32_t code_of(const error& why) {
  if (dynamic_cast<const EndIsTaken*>(&why) != nullptr) return kEndIsTaken;
  const bool version = why.code() == connect_errc::bad_version || why.code() == ring::errc::bad_version;
  return version ? kOtherVersion : kRefused;
}

}  // namespace

EndIsTaken::EndIsTaken(const std::string& detail) : error(connect_errc::refused, detail) {}

HandshakeType packet_type(std::span<const std::byte> packet) {
  HandshakePrefix<HandshakeType{}> prefix;
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
  if (prefix.type == HandshakeType::refusal) throw_refusal(packet);
  return prefix.type;
}

void decode_packet(std::span<const std::byte> packet, HandshakeType type, std::span<std::byte> decoded) {
  const HandshakeType got = packet_type(packet);
  if (got != type || packet.size() != decoded.size()) {
    throw error(connect_errc::protocol,
                "handshake: expected packet type " + std::to_string(static_cast<unsigned>(type)) + " of " +
                    std::to_string(decoded.size()) + " bytes, got type " +
                    std::to_string(static_cast<unsigned>(got)) + " of " + std::to_string(packet.size()));
  }
  std::memcpy(decoded.data(), packet.data(), decoded.size());
}

std::vector<std::byte> encode_refusal(const error& why) {
  // The code goes along as one of few; what the system said would be lost.
  const bool system = why.code().category() == std::system_category();
  const std::string text = system ? why.what() : why.detail();
  const std::size_t text_bytes = std::min(text.size(), kMaxRefusalTextBytes);
  RefusalHead head;
  head.code = code_of(why);
  head.text_bytes = static_cast<std::uint32_t>(text_bytes);
  std::vector<std::byte> packet(sizeof head + text_bytes);
  std::memcpy(packet.data(), &head, sizeof head);
  std::memcpy(packet.data() + sizeof head, text.data(), text_bytes);
  return packet;
}

}  // namespace sluice::ipc

#include "sluice/ipc/stream_frame.hpp"

#include <nlohmann/json.hpp>

#include "quoted_text.hpp"

namespace sluice::stream {
namespace {

constexpr std::byte kHandled{1};
constexpr std::byte kRejected{0};
constexpr std::size_t kWindowBytes = 4;

std::uint32_t read_u32(std::span<const std::byte> bytes) noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = (value << 8U) | std::to_integer<std::uint32_t>(bytes[i]);
  return value;
}

std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::optional<Frame> decode_frame(std::span<const std::byte> message) noexcept {
  if (message.size() < kFrameHeaderBytes) return std::nullopt;
  const auto type = std::to_integer<std::uint8_t>(message[0]);
  if (type > static_cast<std::uint8_t>(FrameType::error)) return std::nullopt;
  return Frame{static_cast<FrameType>(type), read_u32(message.subspan(1)),
               message.subspan(kFrameHeaderBytes)};
}

Answer decode_answer(std::span<const std::byte> payload) noexcept {
  if (payload.empty() || payload[0] != kHandled) {
    return {.handled = false, .reason_json = payload.empty() ? payload : payload.subspan(1)};
  }
  if (payload.size() < 1 + kWindowBytes) return {.handled = true};
  return {.handled = true, .window = read_u32(payload.subspan(1))};
}

FrameHead::FrameHead(FrameType type, BlockId id) noexcept {
  bytes_[size_++] = static_cast<std::byte>(type);
  append_u32(id);
}

FrameHead FrameHead::handled(BlockId id, std::optional<std::uint32_t> window) noexcept {
  FrameHead head(FrameType::ack, id);
  head.bytes_[head.size_++] = kHandled;
  if (window) head.append_u32(*window);
  return head;
}

FrameHead FrameHead::rejected(BlockId id) noexcept {
  FrameHead head(FrameType::ack, id);
  head.bytes_[head.size_++] = kRejected;
  return head;
}

void FrameHead::append_u32(std::uint32_t value) noexcept {
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes_[size_++] = static_cast<std::byte>((value >> static_cast<unsigned>(shift)) & 0xffU);
  }
}

std::string to_json_string(std::string_view text) {
  const nlohmann::json value = std::string(text.substr(0, kMaxTextBytes));
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string text_of_peer(std::span<const std::byte> payload) {
  const std::string_view text = as_text(payload);
  if (payload.size() <= kMaxTextBytes) {
    const auto value = nlohmann::json::parse(text, nullptr, false);
    if (value.is_string()) return value.get<std::string>();
  }
  return detail::quoted_text(text);
}

}  // namespace sluice::stream

#include "sluice/ipc/stream/stream_frame.hpp"

#include <nlohmann/json.hpp>

#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/ipc/port/message_content.hpp"

namespace sluice::ipc {
namespace {

constexpr std::byte kHandled{1};
constexpr std::byte kRejected{0};
constexpr std::size_t kWindowBytes = 4;

}  // namespace

Answer decode_answer(std::span<const std::byte> payload) noexcept {
  if (payload.empty() || payload[0] != kHandled) {
    return {.handled = false, .reason_json = payload.empty() ? payload : payload.subspan(1)};
  }
  if (payload.size() < 1 + kWindowBytes) return {.handled = true};
  return {.handled = true, .window = read_u32(payload.subspan(1))};
}

FrameHead FrameHead::handled(BlockId id, std::optional<std::uint32_t> window) noexcept {
  FrameHead head(FrameType::ack, id);
  head.bytes_[head.size_++] = kHandled;
  if (!window) return head;
  for (const unsigned shift : {24U, 16U, 8U, 0U})
    head.bytes_[head.size_++] = static_cast<std::byte>((*window >> shift) & 0xffU);
  return head;
}

FrameHead FrameHead::rejected(BlockId id) noexcept {
  FrameHead head(FrameType::ack, id);
  head.bytes_[head.size_++] = kRejected;
  return head;
}

std::string to_json_string(std::string_view text) {
  const nlohmann::json value = std::string(text.substr(0, kMaxTextBytes));
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string text_of_peer(std::span<const std::byte> payload) {
  const std::string_view text = text_of(payload);
  if (payload.size() <= kMaxTextBytes) {
    const auto value = nlohmann::json::parse(text, nullptr, false);
    if (value.is_string()) return base::printable(value.get_ref<const std::string&>());
  }
  return base::quoted_text(text);
}

}  // namespace sluice::ipc

// Frames as text, and a peer that is driven by hand, frame by frame.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/ipc/port/any_port.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "sluice/ipc/stream/stream_error.hpp"

namespace sluice::test {

using Bytes = std::vector<std::byte>;

inline Bytes from_hex(std::string_view hex) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

inline std::string to_hex(std::span<const std::byte> bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const std::byte byte : bytes) {
    hex += kDigits[std::to_integer<std::size_t>(byte >> 4)];
    hex += kDigits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return hex;
}

inline std::string hex_of_text(std::string_view text) {
  return to_hex(std::as_bytes(std::span(text)));
}

/// Plays one side of the protocol on a port, literally.
class RawPeer {
 public:
  explicit RawPeer(AnyPort& port) : port_(&port) {}

  void post(std::string_view hex) { ASSERT_EQ(port_->post_message(from_hex(hex)), Status::ok) << hex; }

  /// The next message as hex, or why there is none.
  std::string next(std::chrono::milliseconds time = std::chrono::seconds(10)) {
    const Deadline deadline = deadline_in(time);
    const Message message = port_->receive_until(deadline);
    return message ? to_hex(message.bytes()) : std::string(to_string(message.status()));
  }

  void close() { port_->close(); }

 private:
  AnyPort* port_;
};

inline constexpr std::array kStreamReadings{StreamReading::in_place, StreamReading::copied};

inline std::string name_of(StreamReading reading) {
  return reading == StreamReading::in_place ? "InPlace" : "Copied";
}

/// The ways in which a stream gets its messages: by calls, or from the delivery thread of a port that was
/// started.
enum class StreamWay { in_place, copied, by_handler };

inline constexpr std::array kStreamWays{StreamWay::in_place, StreamWay::copied, StreamWay::by_handler};

inline std::string name_of(StreamWay way) {
  return way == StreamWay::by_handler ? "ByHandler" : way == StreamWay::copied ? "Copied" : "InPlace";
}
inline StreamReading reading_of(StreamWay way) {
  return way == StreamWay::in_place ? StreamReading::in_place : StreamReading::copied;
}
/// Before a stream is made over the port.
template <MessagePortLike P>
void prepare(P& port, StreamWay way) {
  if (way == StreamWay::by_handler) port.start();
}

/// The stream_errc that `body` throws, if it does.
template <class Body>
std::optional<stream_errc> ending_of(Body body, std::string* text = nullptr, std::string* reason = nullptr) {
  try {
    body();
  } catch (const StreamError& failure) {
    if (text != nullptr) *text = failure.what();
    if (reason != nullptr) *reason = failure.reason();
    return static_cast<stream_errc>(failure.code().value());
  }
  return std::nullopt;
}

}  // namespace sluice::test

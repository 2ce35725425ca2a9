// The second process of the demo's last part: it is killed, and started again.
#pragma once

#include <cstdint>
#include <string>

namespace demo {

inline constexpr std::uint64_t kSessionRingBytes = 4U << 20U;

/// What it does: joins the session `channel` and sends every record back. What its predecessor has sent back
/// isn't sent twice: an answer has the number of its record. Returns the exit code.
int run_session_worker(const std::string& channel) noexcept;

}  // namespace demo

// The bytes of a checkpoint's file; drawn in checkpoint.hpp.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/ipc/checkpoint/checkpoint.hpp"

namespace sluice::ipc {

/// A checkpoint and when it was stored.
struct StoredCheckpoint {
  StreamCheckpoint checkpoint;
  std::array<std::uint8_t, 16> boot;
  std::chrono::nanoseconds since_boot;
  std::chrono::nanoseconds age;
};

/// No file is larger.
std::size_t max_checkpoint_file_bytes() noexcept;

std::vector<std::byte> encode_checkpoint(std::string_view key, const StoredCheckpoint& stored);

/// Throws checkpoint_errc::bad_checkpoint, checkpoint_errc::bad_version; `what` names the file in messages.
StoredCheckpoint decode_checkpoint(std::span<const std::byte> bytes, std::string_view key,
                                   const std::string& what);

}  // namespace sluice::ipc

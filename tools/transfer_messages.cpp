#include "transfer_messages.hpp"

#include <fmt/core.h>

#include <cstring>
#include <limits>
#include <stdexcept>

#include "transfer.hpp"

namespace sluice::tools {
namespace {

constexpr std::uint64_t kMostFileBytes = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void refuse(const std::string& expected, const std::string& got) {
  throw std::runtime_error(fmt::format("transfer: expected {}, got {}", expected, got));
}

template <class Message>
Message decoded(std::span<const std::byte> bytes, const char* what) {
  if (bytes.size() != sizeof(Message))
    refuse(fmt::format("{} of {} bytes", what, sizeof(Message)), fmt::format("{} bytes", bytes.size()));
  Message message;
  std::memcpy(&message, bytes.data(), sizeof message);
  return message;
}

}  // namespace

TransferStart decode_start(std::span<const std::byte> message) {
  const auto start = decoded<TransferStart>(message, "the start of a transfer");
  if (start.magic != TransferStart{}.magic) refuse("the start of a transfer", "other bytes");
  return start;
}

Manifest decode_manifest(std::span<const std::byte> message) {
  const auto manifest = decoded<Manifest>(message, "a manifest");
  if (manifest.magic != Manifest{}.magic) refuse("the manifest of a file", "other bytes");
  if (manifest.block_bytes == 0 || manifest.block_bytes > kMaxBlockBytes)
    refuse(fmt::format("blocks of 1 to {} bytes", kMaxBlockBytes), std::to_string(manifest.block_bytes));
  if (manifest.file_bytes > kMostFileBytes) refuse("the size of a file", std::to_string(manifest.file_bytes));
  return manifest;
}

TransferEnd decode_end(std::span<const std::byte> message) {
  const auto end = decoded<TransferEnd>(message, "an end");
  if (end.mark != kAllBitsSet) refuse("an end", "a block");
  if (end.file_bytes > kMostFileBytes) refuse("the size of a file", std::to_string(end.file_bytes));
  return end;
}

std::optional<std::uint64_t> decode_block_offset(std::span<const std::byte> message) {
  if (message.size() <= kBlockHeaderBytes)
    refuse("a block of at least one byte", fmt::format("a message of {} bytes", message.size()));
  std::uint64_t offset = 0;
  std::memcpy(&offset, message.data(), sizeof offset);
  if (offset == kAllBitsSet) return std::nullopt;
  const std::uint64_t bytes = message.size() - kBlockHeaderBytes;
  if (offset > kMostFileBytes - bytes)
    refuse("a block of a file", fmt::format("{} bytes at {}", bytes, offset));
  return offset;
}

}  // namespace sluice::tools

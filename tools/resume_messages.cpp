#include "resume_messages.hpp"

#include <fmt/core.h>

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "transfer.hpp"

namespace sluice::tools {
namespace {

constexpr std::array<char, 8> kMagic{'S', 'L', 'U', 'I', 'C', 'E', '\0', 'M'};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kEndMark = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kMostFileBytes = std::numeric_limits<std::int64_t>::max();

static_assert(std::endian::native == std::endian::little, "the structures below are the messages");

struct ManifestMessage {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t zero = 0;
  std::uint64_t block_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::int64_t changed_ns = 0;
};
static_assert(sizeof(ManifestMessage) == 40 && std::has_unique_object_representations_v<ManifestMessage>);

struct EndMessage {
  std::uint64_t mark = kEndMark;
  ManifestMessage manifest;
  Sha256Digest digest{};
};
static_assert(sizeof(EndMessage) == 80 && std::has_unique_object_representations_v<EndMessage>);

[[noreturn]] void refuse(const std::string& expected, const std::string& got) {
  throw std::runtime_error(fmt::format("resumable transfer: expected {}, got {}", expected, got));
}

template <class Layout>
std::string encoded(const Layout& message) {
  std::string bytes(sizeof message, '\0');
  std::memcpy(bytes.data(), &message, sizeof message);
  return bytes;
}

template <class Layout>
Layout decoded(std::span<const std::byte> message, const char* what) {
  if (message.size() != sizeof(Layout))
    refuse(fmt::format("{} of {} bytes", what, sizeof(Layout)), fmt::format("{} bytes", message.size()));
  Layout layout;
  std::memcpy(&layout, message.data(), sizeof layout);
  return layout;
}

ManifestMessage to_message(const Manifest& manifest) {
  ManifestMessage message;
  message.block_bytes = manifest.block_bytes;
  message.file_bytes = manifest.file_bytes;
  message.changed_ns = manifest.changed_ns;
  return message;
}

Manifest checked(const ManifestMessage& message) {
  if (message.magic != kMagic) refuse("the manifest of a file", "other bytes");
  if (message.version != kVersion || message.zero != 0)
    refuse(fmt::format("version {}", kVersion), fmt::format("version {}", message.version));
  if (message.block_bytes == 0 || message.block_bytes > kMaxBlockBytes)
    refuse(fmt::format("blocks of 1 to {} bytes", kMaxBlockBytes), std::to_string(message.block_bytes));
  if (message.file_bytes > kMostFileBytes) refuse("the size of a file", std::to_string(message.file_bytes));
  return {message.block_bytes, message.file_bytes, message.changed_ns};
}

}  // namespace

std::string encode(const Manifest& manifest) {
  return encoded(to_message(manifest));
}

std::string encode(const TransferEnd& end) {
  EndMessage message;
  message.manifest = to_message(end.manifest);
  message.digest = end.digest;
  return encoded(message);
}

Manifest decode_manifest(std::span<const std::byte> message) {
  return checked(decoded<ManifestMessage>(message, "a manifest"));
}

TransferEnd decode_end(std::span<const std::byte> message) {
  const auto end = decoded<EndMessage>(message, "an end");
  if (end.mark != kEndMark) refuse("an end", "a block");
  return {checked(end.manifest), end.digest};
}

std::optional<std::uint64_t> decode_block_offset(std::span<const std::byte> message) {
  if (message.size() <= kBlockHeaderBytes)
    refuse("a block of at least one byte", fmt::format("a message of {} bytes", message.size()));
  std::uint64_t offset = 0;
  std::memcpy(&offset, message.data(), sizeof offset);
  if (offset == kEndMark) return std::nullopt;
  const std::uint64_t bytes = message.size() - kBlockHeaderBytes;
  if (offset > kMostFileBytes - bytes)
    refuse("a block of a file", fmt::format("{} bytes at {}", bytes, offset));
  return offset;
}

void encode_block_offset(std::uint64_t offset, std::span<std::byte> message) {
  std::memcpy(message.data(), &offset, sizeof offset);
}

}  // namespace sluice::tools

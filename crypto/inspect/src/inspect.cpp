#include "sluice/crypto/inspect/inspect.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "c2sp_header.hpp"
#include "legacy_v1.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/detail/little_endian.hpp"
#include "sluice/crypto/journal/journal_format.hpp"
#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"
#include "sluice/crypto/seal/byte_io.hpp"

namespace sluice::crypto {
namespace {

constexpr std::size_t kLongestHeader = std::max(AgcmHeader::kSize, SegmentHeader::kSize);

bool starts_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() &&
         std::ranges::equal(bytes.first(magic.size()), std::as_bytes(std::span(magic)));
}

// The last chunk is shorter than the others, so not every size is that of a whole stream.
void count_chunks(FileInfo& info, std::size_t header_bytes) {
  const std::uint64_t sealed_chunk = std::uint64_t{info.chunk_bytes} + kTagSize;
  const std::uint64_t body = info.file_bytes - header_bytes;
  if (body % sealed_chunk < kTagSize) return;
  info.chunks = body / sealed_chunk + 1;
  info.plaintext_bytes = body - *info.chunks * kTagSize;
}

void inspect_agcm(FileInfo& info, std::span<const std::byte> bytes) {
  const auto header = AgcmHeader::decode(bytes);
  info.version = AgcmHeader::kVersion;
  info.chunk_bytes = header.chunk_bytes;
  info.key_id = header.key_id;
  count_chunks(info, AgcmHeader::kSize);
}

void inspect_legacy(FileInfo& info, std::span<const std::byte> bytes, RandomAccessSource& file) {
  info.version = LegacyV1Header::kVersion;
  info.chunk_bytes = LegacyV1Header::decode(bytes).chunk_bytes;
  constexpr std::size_t kPrefix = 4;
  std::uint64_t chunks = 0;
  std::uint64_t plaintext = 0;
  for (std::uint64_t offset = LegacyV1Header::kSize; offset < info.file_bytes; ++chunks) {
    std::array<std::byte, kPrefix> prefix{};
    if (info.file_bytes - offset < kPrefix) return;
    file.read_at(offset, prefix);
    const auto size = base::load_le<std::uint32_t>(prefix, 0);
    const bool possible =
        size >= kTagSize && size - kTagSize <= info.chunk_bytes && size <= info.file_bytes - offset - kPrefix;
    if (!possible) return;
    plaintext += size - kTagSize;
    offset += kPrefix + size;
  }
  info.chunks = chunks;
  info.plaintext_bytes = plaintext;
}

void inspect_c2sp(FileInfo& info, std::size_t header_bytes) {
  if (header_bytes < C2spHeader::kSize) {
    throw error(errc::short_header, "C2SP header: expected 56 bytes, got " + std::to_string(header_bytes));
  }
  info.kind = FileKind::c2sp;
  info.chunk_bytes = C2spHeader::kChunkSize;
  count_chunks(info, C2spHeader::kSize);
}

void inspect_segment(FileInfo& info, std::span<const std::byte> bytes, RandomAccessSource& file) {
  const auto header = SegmentHeader::decode(bytes);
  info.kind = FileKind::journal_segment;
  info.version = SegmentHeader::kVersion;
  info.key_id = header.key_id;
  SegmentInfo segment{
      .first_sequence = header.first_sequence, .created_ns = header.created_ns, .previous = header.previous};
  std::uint64_t rest = info.file_bytes - SegmentHeader::kSize;
  while (rest >= FrameHeader::kSize) {
    std::array<std::byte, FrameHeader::kSize> bytes_here{};
    file.read_at(info.file_bytes - rest, bytes_here);
    const FrameHeader frame{.length = base::load_le<std::uint32_t>(bytes_here, 0),
                            .records = base::load_le<std::uint32_t>(bytes_here, 4),
                            .durable = base::load_le<std::uint64_t>(bytes_here, 8)};
    const bool is_mark = frame.is_mark() && frame.durable >= SegmentHeader::kSize;  // zeros are none
    const std::uint64_t size = is_mark ? FrameHeader::kSize : FrameHeader::kSize + frame.length + kTagSize;
    const bool possible = is_mark || (frame.records > 0 && frame.length <= FrameHeader::kMaxLength &&
                                      frame.length / FrameHeader::kRecordPrefix >= frame.records);
    if (!possible || size > rest) break;
    if (!is_mark) ++segment.frames;
    segment.records += frame.records;
    rest -= size;
  }
  segment.unexplained_bytes = rest;
  info.segment = segment;
}

FileInfo inspect(int fd, Format format) {
  FdRandomAccess file(fd);
  FileInfo info;
  info.file_bytes = file.size();
  std::array<std::byte, kLongestHeader> memory{};
  const auto bytes =
      std::span(memory).first(static_cast<std::size_t>(std::min<std::uint64_t>(file.size(), kLongestHeader)));
  file.read_at(0, bytes);
  if (format == Format::c2sp) {
    inspect_c2sp(info, bytes.size());
  } else if (starts_with(bytes, SegmentHeader::kMagic)) {
    inspect_segment(info, bytes, file);
  } else if (bytes.size() >= AgcmHeader::kMagic.size() && !starts_with(bytes, AgcmHeader::kMagic)) {
    throw error(
        errc::bad_magic,
        "expected \"AGCM\" (a sealed stream) or \"AGCJ\" (a journal segment) at the start; a C2SP stream "
        "has no mark of its own and is only read as one on request (format c2sp)");
  } else if (bytes.size() >= 8 && base::load_le<std::uint32_t>(bytes, 4) == LegacyV1Header::kVersion) {
    inspect_legacy(info, bytes, file);
  } else {
    inspect_agcm(info, bytes);
  }
  return info;
}

}  // namespace

FileInfo inspect_file(const std::filesystem::path& file, Format format) {
  const Descriptor fd = base::open_regular_file(file);
  return naming(file.string(), [&] { return inspect(fd.get(), format); });
}

}  // namespace sluice::crypto

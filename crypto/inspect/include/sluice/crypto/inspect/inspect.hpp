// What a file of one of this room's formats says about itself, without a key. Nothing of it is verified.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>

#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/secret_key.hpp"
#include "sluice/crypto/seal/options.hpp"

#pragma GCC visibility push(default)

namespace sluice::crypto {

enum class FileKind {
  agcm,             ///< AGCM, version 1 or 2
  c2sp,             ///< C2SP chunked encryption: only if the caller says so
  journal_segment,  ///< one segment of a sealed journal
};

/// The fields of a journal segment's header, and what its frames say of themselves.
struct SegmentInfo {
  std::uint64_t first_sequence = 0;
  std::uint64_t created_ns = 0;          ///< since 1970 (UTC)
  std::array<std::byte, 16> previous{};  ///< start of the commitment of the segment before; zeros: the first
  std::uint64_t frames = 0;              ///< whole ones, up to the first that makes no sense
  std::uint64_t records = 0;             ///< in these frames
  std::uint64_t unexplained_bytes = 0;   ///< behind them: a torn tail, a frame being written, or damage
};

struct FileInfo {
  FileKind kind = FileKind::agcm;
  std::uint32_t version = 0;      ///< of the format; 0 for c2sp
  std::uint32_t chunk_bytes = 0;  ///< 0 for a journal segment
  std::optional<KeyId> key_id;    ///< AGCM version 2 and journal segments
  std::uint64_t file_bytes = 0;
  /// Of a stream, if the file's size (version 1: the lengths of its chunks) is a possible one.
  std::optional<std::uint64_t> plaintext_bytes;
  std::optional<std::uint64_t> chunks;
  std::optional<SegmentInfo> segment;
};

/// Tells AGCM streams and journal segments by their first bytes. A C2SP stream begins with random bytes, so
/// it is taken for one only if `format` says so. Errors: those of AgcmHeader::decode and
/// SegmentHeader::decode (errc::bad_magic if the file is neither), sluice::errc::bad_option for what is
/// no regular file, or the system's.
FileInfo inspect_file(const std::filesystem::path& file, Format format = Format::agcm);

}  // namespace sluice::crypto

#pragma GCC visibility pop

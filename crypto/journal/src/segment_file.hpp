// One segment of a journal, to read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "segment_codec.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/crypto/key/key_ring.hpp"

namespace sluice::crypto {

/// The name of the segment that starts with this sequence number.
std::string segment_name(std::uint64_t first_sequence);

/// A journal's directory, held open: its files are reached through `fd` only, whatever has its name meanwhile.
struct OpenDirectory {
  explicit OpenDirectory(std::filesystem::path name);

  std::string path_of(const std::string& file) const { return (path / file).string(); }

  /// Of the journal in it, as the file `lock` says; nullopt if that isn't there (yet) or can't be read by us.
  std::optional<JournalId> identity() const;

  std::filesystem::path path;  ///< for errors
  Descriptor fd;
};

/// First sequence numbers of the segments in a directory, ascending. Other files are passed over.
std::vector<std::uint64_t> list_segments(const OpenDirectory& directory);

/// Opens a segment with these flags (besides those that keep it safe). Never waits, and refuses what is no
/// regular file: errc::corrupt.
Descriptor open_segment(const OpenDirectory& directory, const std::string& name, int flags);

/// The same; an empty descriptor if there is none of this name.
Descriptor open_segment_if_there(const OpenDirectory& directory, const std::string& name, int flags);

/// What stands at an offset of a segment.
struct FrameAt {
  enum class State {
    whole,       ///< a frame whose header is authentic and whose bytes are all there; or a mark
    end,         ///< the file ends exactly here
    incomplete,  ///< the file ends inside what stands here
    bad,         ///< something that is no frame of this segment
  };
  State state = State::end;
  FrameHeader header{};  ///< of a whole frame, and of an incomplete one whose header is there

  std::uint64_t size() const { return size_of(header); }
  bool operator==(const FrameAt&) const = default;
};

/// Reads and verifies the header; frames are read on demand. The file may grow meanwhile.
class SegmentFile {
 public:
  /// Errors: as SegmentHeader::decode, unknown_key, not_authentic (wrong key or context, or a changed
  /// header), errc::corrupt if name and header differ, if no record can have that number or it is no regular
  /// file, or the system's.
  SegmentFile(const OpenDirectory& directory, std::uint64_t first_sequence, const Keys& keys,
              const std::string& context);

  /// The same; nullopt if there is no such file.
  static std::optional<SegmentFile> find(const OpenDirectory& directory, std::uint64_t first_sequence,
                                         const Keys& keys, const std::string& context);

  /// Whether the directory holds it, or a copy of it, under its name.
  bool is_in(const OpenDirectory& directory) const;

  /// Whether `other` is this segment or a copy.
  bool is_same(const SegmentFile& other) const { return header_.commitment == other.header_.commitment; }

  const std::string& path() const { return path_; }
  const SegmentHeader& header() const { return header_; }
  int fd() const { return fd_.get(); }
  /// errc::corrupt if it is longer than any writer makes it.
  std::uint64_t size() const;

  FrameAt frame_at(std::uint64_t offset) const;

  /// Opens the body of a whole frame into `plain` (resized); false if it isn't authentic, or cut off meanwhile.
  bool open_frame(std::uint64_t offset, const FrameHeader& header, std::vector<std::byte>& plain);

  /// Reads up to `room` bytes; fewer at the end of the file, which a writer that recovers it may cut meanwhile.
  std::span<std::byte> read_at(std::uint64_t offset, std::span<std::byte> room) const;

  const SegmentKeys& keys() const { return keys_; }

 private:
  SegmentFile(Descriptor fd, std::string path, std::uint64_t first_sequence, const Keys& keys,
              const std::string& context);
  struct Opened;
  SegmentFile(std::string path, Opened opened);

  std::string path_;
  Descriptor fd_;
  SegmentHeader header_;
  SegmentKeys keys_;
  ChunkCipher cipher_;
  std::vector<std::byte> sealed_;
};

}  // namespace sluice::crypto

#include "segment_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <utility>

#include "sluice/base/detail/file_io.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
namespace {

constexpr std::string_view kSuffix = ".agcj";
constexpr std::size_t kDigits = 20;

}  // namespace

std::string segment_name(std::uint64_t first_sequence) {
  std::array<char, kDigits + kSuffix.size() + 1> name{};
  std::snprintf(name.data(), name.size(), "%020llu.agcj", static_cast<unsigned long long>(first_sequence));
  return name.data();
}

OpenDirectory::OpenDirectory(std::filesystem::path name)
    : path(std::move(name)), fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (!fd) throw_errno("open journal " + path.string());
}

std::optional<JournalId> OpenDirectory::identity() const {
  const Descriptor lock(::openat(fd.get(), "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!lock && (errno == ENOENT || errno == EACCES)) return std::nullopt;
  if (!lock) throw_errno("open " + path_of("lock"));
  JournalId id{};
  if (base::read_all_at(lock.get(), id, 0, path_of("lock")) < id.size()) return std::nullopt;
  return id;
}

std::vector<std::uint64_t> list_segments(const OpenDirectory& directory) {
  std::vector<std::uint64_t> segments;
  for (const std::string& name :
       base::names_in(directory.fd.get(), "the journal " + directory.path.string())) {
    std::uint64_t first = 0;
    const auto [end, failure] =
        std::from_chars(name.data(), name.data() + std::min(name.size(), kDigits), first);
    if (failure == std::errc() && end == name.data() + kDigits && segment_name(first) == name) {
      segments.push_back(first);
    }
  }
  std::ranges::sort(segments);
  return segments;
}

// O_NONBLOCK: a FIFO put in a segment's place must not make us wait.
Descriptor open_segment_if_there(const OpenDirectory& directory, const std::string& name, int flags) {
  const std::string path = directory.path_of(name);
  Descriptor fd(::openat(directory.fd.get(), name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!fd && errno == ENOENT) return fd;
  if (!fd) throw_errno("open " + path);
  struct stat status {};
  if (::fstat(fd.get(), &status) < 0) throw_errno("fstat " + path);
  if (!S_ISREG(status.st_mode)) throw error(errc::corrupt, path + ": expected a regular file");
  return fd;
}

Descriptor open_segment(const OpenDirectory& directory, const std::string& name, int flags) {
  Descriptor fd = open_segment_if_there(directory, name, flags);
  if (!fd) throw_errno(ENOENT, "open " + directory.path_of(name));
  return fd;
}

struct SegmentFile::Opened {
  Descriptor fd;
  SegmentHeader header;
  SegmentKeys keys;

  static Opened read(Descriptor fd, const std::string& path, std::uint64_t first_sequence, const Keys& keys,
                     const std::string& context) {
    std::array<std::byte, SegmentHeader::kSize> memory{};
    const auto bytes = std::span(memory).first(base::read_all_at(fd.get(), memory, 0, path));
    const auto header = SegmentHeader::decode(bytes);
    const SecretKey* key = keys.find(header.key_id);
    if (key == nullptr) throw error(errc::unknown_key, "sealed with key " + header.key_id.to_hex());
    SegmentKeys derived(*key, bytes.first(SegmentHeader::kBoundSize), context);
    if (!equal_in_constant_time(derived.commitment(), header.commitment)) {
      throw error(errc::not_authentic, "wrong context, or the header was changed");
    }
    if (header.first_sequence != first_sequence || first_sequence == 0 || first_sequence > kLastSequence) {
      throw error(errc::corrupt, "starts with sequence " + std::to_string(header.first_sequence));
    }
    return {std::move(fd), header, std::move(derived)};
  }
};

SegmentFile::SegmentFile(const OpenDirectory& directory, std::uint64_t first_sequence, const Keys& keys,
                         const std::string& context)
    : SegmentFile(open_segment(directory, segment_name(first_sequence), O_RDONLY),
                  directory.path_of(segment_name(first_sequence)), first_sequence, keys, context) {}

SegmentFile::SegmentFile(Descriptor fd, std::string path, std::uint64_t first_sequence, const Keys& keys,
                         const std::string& context)
    : SegmentFile(path, naming(path, [&] {
                    return Opened::read(std::move(fd), path, first_sequence, keys, context);
                  })) {}

std::optional<SegmentFile> SegmentFile::find(const OpenDirectory& directory, std::uint64_t first_sequence,
                                             const Keys& keys, const std::string& context) {
  const std::string name = segment_name(first_sequence);
  Descriptor fd = open_segment_if_there(directory, name, O_RDONLY);
  if (!fd) return std::nullopt;
  return SegmentFile(std::move(fd), directory.path_of(name), first_sequence, keys, context);
}

SegmentFile::SegmentFile(std::string path, Opened opened)
    : path_(std::move(path)),
      fd_(std::move(opened.fd)),
      header_(opened.header),
      keys_(std::move(opened.keys)),
      cipher_(keys_.cipher(ChunkCipher::Direction::open)) {}

std::uint64_t SegmentFile::size() const {
  struct stat status {};
  if (::fstat(fd_.get(), &status) < 0) throw_errno("fstat " + path_);
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  if (bytes <= kMaxSegmentBytes) return bytes;
  throw error(errc::corrupt, path_ + ": expected at most " + std::to_string(kMaxSegmentBytes) +
                                 " bytes, got " + std::to_string(bytes));
}

FrameAt SegmentFile::frame_at(std::uint64_t offset) const {
  FrameHeaderBytes bytes{};
  const std::size_t count = base::read_all_at(fd_.get(), bytes, offset, path_);
  if (count == 0) return {.state = FrameAt::State::end};
  if (count < bytes.size()) return {.state = FrameAt::State::incomplete};
  const auto header = keys_.decode(bytes, offset);
  if (!header) return {.state = FrameAt::State::bad};
  const bool whole = size() >= offset + size_of(*header);
  return {.state = whole ? FrameAt::State::whole : FrameAt::State::incomplete, .header = *header};
}

bool SegmentFile::open_frame(std::uint64_t offset, const FrameHeader& header, std::vector<std::byte>& plain) {
  sealed_.resize(frame_size(header.length));
  if (read_at(offset, sealed_).size() < sealed_.size()) return false;
  plain.resize(header.length);
  // The header is taken from this read, not from the check before: what was checked then is what must be
  // sealed here.
  const auto head = std::span(sealed_).first(FrameHeader::kSize);
  return cipher_.open(offset, std::span(sealed_).subspan(FrameHeader::kSize), plain, head);
}

std::span<std::byte> SegmentFile::read_at(std::uint64_t offset, std::span<std::byte> room) const {
  return room.first(base::read_all_at(fd_.get(), room, offset, path_));
}

// A copy (a restored backup, a file that overlayfs copied up) has another inode.
bool SegmentFile::is_in(const OpenDirectory& directory) const {
  const std::string name = segment_name(header_.first_sequence);
  if (base::is_named(fd_.get(), directory.fd.get(), name)) return true;
  const Descriptor fd = open_segment_if_there(directory, name, O_RDONLY);
  if (!fd) return false;
  std::array<std::byte, SegmentHeader::kSize> bytes{};
  return base::read_all_at(fd.get(), bytes, 0, path_) == bytes.size() && bytes == header_.encode();
}

}  // namespace sluice::crypto

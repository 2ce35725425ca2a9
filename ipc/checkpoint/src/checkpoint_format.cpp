#include "checkpoint_format.hpp"

#include <boost/crc.hpp>
#include <cstring>

#include "sluice/base/detail/names.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {
namespace {

using std::chrono::nanoseconds;
using std::chrono::system_clock;

constexpr std::uint64_t kFileMagic = 0x4300'4543'4955'4c53;  // "SLUICE\0C"
constexpr std::uint32_t kFileVersion = 1;

struct FileHead {
  std::uint64_t magic = kFileMagic;
  std::uint32_t version = kFileVersion;
  std::uint32_t file_bytes = 0;
  ring::SessionId session{};
  StreamId stream{};
  std::uint64_t sequence = 0;
  std::uint64_t position = 0;
  std::int64_t time_ns = 0;
  std::array<std::uint8_t, 16> boot{};
  std::int64_t since_boot_ns = 0;
  std::int64_t age_ns = 0;
  std::uint32_t key_bytes = 0;
  std::uint32_t target_bytes = 0;
};
static_assert(sizeof(FileHead) == 112 && offsetof(FileHead, boot) == 72 &&
              offsetof(FileHead, key_bytes) == 104);

using Crc = std::uint32_t;

Crc crc32c(std::span<const std::byte> bytes) {
  boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true> sum;
  sum.process_bytes(bytes.data(), bytes.size());
  return sum.checksum();
}

[[noreturn]] void refuse(const std::string& what, const std::string& reason) {
  throw error(checkpoint_errc::bad_checkpoint, what + ": " + reason);
}

void check_sum(std::span<const std::byte> bytes, const std::string& what) {
  const std::size_t summed = bytes.size() - sizeof(Crc);
  Crc stored = 0;
  std::memcpy(&stored, bytes.data() + summed, sizeof stored);
  if (const Crc expected = crc32c(bytes.first(summed)); stored != expected) {
    refuse(what,
           "damaged: expected the checksum " + std::to_string(expected) + ", got " + std::to_string(stored));
  }
}

// Behind a right checksum these hold, unless somebody made the file on purpose.
void check_head(const FileHead& head, std::size_t file_bytes, const std::string& what) {
  if (head.key_bytes > base::kMaxNameBytes || head.target_bytes > kMaxTargetBytes ||
      sizeof(FileHead) + head.key_bytes + head.target_bytes + sizeof(Crc) != file_bytes)
    refuse(what, "its lengths don't add up");
  if (head.time_ns < 0 || head.since_boot_ns < 0 || head.age_ns < 0) refuse(what, "it holds a negative time");
}

}  // namespace

std::size_t max_checkpoint_file_bytes() noexcept {
  return sizeof(FileHead) + base::kMaxNameBytes + kMaxTargetBytes + sizeof(Crc);
}

std::vector<std::byte> encode_checkpoint(std::string_view key, const StoredCheckpoint& stored) {
  const StreamCheckpoint& checkpoint = stored.checkpoint;
  const std::size_t bytes = sizeof(FileHead) + key.size() + checkpoint.target.size() + sizeof(Crc);
  const FileHead head{
      .file_bytes = static_cast<std::uint32_t>(bytes),
      .session = checkpoint.session,
      .stream = checkpoint.stream,
      .sequence = checkpoint.sequence,
      .position = checkpoint.position,
      .time_ns = nanoseconds(checkpoint.time.time_since_epoch()).count(),
      .boot = stored.boot,
      .since_boot_ns = stored.since_boot.count(),
      .age_ns = stored.age.count(),
      .key_bytes = static_cast<std::uint32_t>(key.size()),
      .target_bytes = static_cast<std::uint32_t>(checkpoint.target.size()),
  };
  std::vector<std::byte> file(bytes);
  std::byte* end = file.data();
  const auto append = [&end](const void* from, std::size_t count) {
    std::memcpy(end, from, count);
    end += count;
  };
  append(&head, sizeof head);
  append(key.data(), key.size());
  append(checkpoint.target.data(), checkpoint.target.size());
  const Crc sum = crc32c(std::span(file).first(bytes - sizeof(Crc)));
  append(&sum, sizeof sum);
  return file;
}

StoredCheckpoint decode_checkpoint(std::span<const std::byte> bytes, std::string_view key,
                                   const std::string& what) {
  FileHead head;
  if (bytes.size() < sizeof head + sizeof(Crc)) {
    refuse(what, "expected at least " + std::to_string(sizeof head + sizeof(Crc)) + " bytes, got " +
                     std::to_string(bytes.size()));
  }
  std::memcpy(&head, bytes.data(), sizeof head);
  if (head.magic != kFileMagic) refuse(what, "no checkpoint: it doesn't begin with SLUICE\\0C");
  if (head.version != kFileVersion) {
    throw error(checkpoint_errc::bad_version, what + ": expected version " + std::to_string(kFileVersion) +
                                                  ", got " + std::to_string(head.version));
  }
  if (head.file_bytes != bytes.size()) {
    refuse(what,
           "expected " + std::to_string(head.file_bytes) + " bytes, got " + std::to_string(bytes.size()));
  }
  check_sum(bytes, what);
  check_head(head, bytes.size(), what);
  const auto* const text = reinterpret_cast<const char*>(bytes.data() + sizeof head);
  if (const std::string_view stored_key(text, head.key_bytes); stored_key != key)
    refuse(what, "it is the checkpoint of " + base::quoted_text(stored_key));
  return {{.session = head.session,
           .stream = head.stream,
           .sequence = head.sequence,
           .position = head.position,
           .target = std::string(text + head.key_bytes, head.target_bytes),
           .time = system_clock::time_point(
               std::chrono::duration_cast<system_clock::duration>(nanoseconds(head.time_ns)))},
          head.boot,
          nanoseconds(head.since_boot_ns),
          nanoseconds(head.age_ns)};
}

}  // namespace sluice::ipc

#include "journal_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "sluice/base/atomic_file.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
namespace {

std::uint64_t now_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

const std::filesystem::path& created(const std::filesystem::path& path) {
  if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) throw_errno("create journal " + path.string());
  return path;
}

}  // namespace

JournalDirectory::JournalDirectory(const std::filesystem::path& path, const Keys& keys,
                                   const JournalOptions& options)
    : directory_(created(path)) {
  lock();
  remove_leftovers();
  recover(keys, options);
  if (segments_.empty()) sync_parent();
}

// Whoever made the directory may have ended before it was durable, so everybody sees to it until it holds
// something. A parent that can't be read can't be synced.
void JournalDirectory::sync_parent() const {
  const Descriptor parent(::openat(directory_.fd.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent) {
    base::sync_if_possible(parent.get(), "the directory of " + directory_.path.string());
  } else if (errno != EACCES) {
    throw_errno("open the directory of " + directory_.path.string());
  }
}

void JournalDirectory::lock() {
  const std::string path = directory_.path_of("lock");
  constexpr int kFlags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  lock_.open([this] { return ::openat(directory_.fd.get(), "lock", kFlags, 0600); });
  if (!lock_) throw_errno("open " + path);
  if (!base::lock_file(lock_.get(), path))
    throw error(sluice::errc::busy, "journal " + directory_.path.string() + ": another writer has it");
}

// Temporary files of segments: with the lock held, nobody is writing them.
void JournalDirectory::remove_leftovers() const {
  base::AtomicFile::remove_leftovers(directory_.fd.get(), ".agcj");
}

// In the file before there is a segment that has it.
void JournalDirectory::store_identity() {
  const std::string path = directory_.path_of("lock");
  base::write_all_at(lock_.get(), identity_, 0, path);
  base::sync_file(lock_.get(), path);
}

void JournalDirectory::recover(const Keys& keys, const JournalOptions& options) {
  const auto stored = directory_.identity();
  std::optional<SegmentFile> newest;
  if (stored) identity_ = *stored;
  for (const std::uint64_t first : list_segments(directory_)) {
    SegmentFile segment(directory_, first, keys, options.context);
    if (!stored && !newest) identity_ = segment.header().journal;
    check_identity(segment, identity_);
    if (newest && segment.header().previous != link_to(newest->header())) {
      throw_corrupt(segment, 48, "this segment doesn't follow the one before it; one is missing or foreign");
    }
    segments_.push_back({first, segment.header().created_ns, segment.size()});
    newest.emplace(std::move(segment));
  }
  if (!stored && !newest) fill_random(identity_);
  if (!stored) store_identity();
  recovery_.next_sequence = options.first_sequence;
  if (!newest) return;

  const auto end = find_end(*newest);
  recovery_.next_sequence = end.next_sequence;
  recovery_.torn_bytes = end.torn_bytes;
  if (end.torn_bytes > 0) recovery_.segment = newest->path();
  segments_.back().bytes = close_segment(*newest, end);
  // A segment without records is replaced by the next one, which has its name.
  const bool empty = end.next_sequence == newest->header().first_sequence;
  previous_ = empty ? newest->header().previous : link_to(newest->header());
}

// Leaves the newest segment as its writer would have closed it, and returns its size. Synced also after a clean
// end: what a killed writer left in the page cache must not get lost once a newer segment says that it is there.
std::uint64_t JournalDirectory::close_segment(const SegmentFile& segment, const SegmentEnd& end) const {
  const Descriptor fd =
      open_segment(directory_, segment_name(segment.header().first_sequence), O_RDWR | O_APPEND);
  const auto cut = [&] {
    if (segment.size() > end.offset && ::ftruncate(fd.get(), static_cast<off_t>(end.offset)) < 0)
      throw_errno("cut " + segment.path());
  };
  cut();
  base::sync_file(fd.get(), segment.path());
  if (end.closed) return end.offset;
  const auto mark = segment.keys().encode({.durable = end.offset}, end.offset);
  try {
    base::write_all(fd.get(), mark, segment.path());
  } catch (const error&) {  // a full disk: old segments can still be pruned then
    cut();
    return end.offset;
  }
  base::sync_file(fd.get(), segment.path());
  return end.offset + mark.size();
}

JournalDirectory::NewSegment JournalDirectory::create_segment(const SecretKey& key,
                                                              std::uint64_t first_sequence,
                                                              const std::string& context) {
  SegmentHeader header;
  fill_random(header.salt);
  header.journal = identity_;
  header.first_sequence = first_sequence;
  header.created_ns = now_ns();
  header.previous = previous_;
  header.key_id = key.id();
  const auto bound = header.encode();
  SegmentKeys keys(key, std::span(bound).first(SegmentHeader::kBoundSize), context);
  std::ranges::copy(keys.commitment(), header.commitment.begin());

  const std::string name = segment_name(first_sequence);
  try {
    base::AtomicFile file(name, {.directory = directory_.fd.get()});
    file.write(header.encode());
    file.commit();
  } catch (const error& failure) {
    throw failure.about("journal " + directory_.path.string());
  }
  Descriptor fd = open_segment(directory_, name, O_WRONLY | O_APPEND);

  if (!segments_.empty() && segments_.back().first_sequence == first_sequence) segments_.pop_back();
  segments_.push_back({first_sequence, header.created_ns, SegmentHeader::kSize});
  previous_ = link_to(header);
  return {std::move(fd), directory_.path_of(name), std::move(keys)};
}

std::size_t JournalDirectory::prune_to_bytes(std::uint64_t bytes) {
  std::uint64_t total = 0;
  for (const auto& segment : segments_) total += segment.bytes;
  std::size_t count = 0;
  while (count + 1 < segments_.size() && total > bytes) total -= segments_[count++].bytes;
  return remove_oldest(count);
}

std::size_t JournalDirectory::prune_older_than(Duration age) {
  if (age < Duration::zero()) {
    throw error(sluice::errc::bad_option,
                "prune_older_than: expected an age of 0 or more, got " + std::to_string(age.count()) + " ns");
  }
  return remove_oldest(count_older_than(segments_, now_ns(), static_cast<std::uint64_t>(age.count())));
}

// A segment's records are all older than the creation of any later one. The clock may have been wrong
// meanwhile: a time in the future says nothing, and one from before the segment itself was made is none of a
// later segment.
std::size_t JournalDirectory::count_older_than(std::span<const Segment> segments, std::uint64_t now_ns,
                                               std::uint64_t age_ns) {
  const std::uint64_t limit = now_ns > age_ns ? now_ns - age_ns : 0;
  std::size_t count = 0;
  std::optional<std::uint64_t> old_enough;  // the last creation up to `limit` among later segments
  for (std::size_t i = segments.size(); i-- > 0;) {
    const std::uint64_t created = segments[i].created_ns;
    const std::uint64_t since = created > now_ns ? 0 : created;
    if (!old_enough || *old_enough < since) count = i;
    if (created <= limit) old_enough = std::max(created, old_enough.value_or(0));
  }
  return count;
}

std::size_t JournalDirectory::prune_before(std::uint64_t sequence) {
  std::size_t count = 0;
  while (count + 1 < segments_.size() && segments_[count + 1].first_sequence <= sequence) ++count;
  return remove_oldest(count);
}

// Oldest first, so that what a crash leaves is a journal with fewer of its oldest segments.
std::size_t JournalDirectory::remove_oldest(std::size_t count) {
  std::size_t removed = 0;
  const auto forget = [&] {
    segments_.erase(segments_.begin(), segments_.begin() + std::ptrdiff_t(removed));
  };
  for (; removed < count; ++removed) {
    const auto name = segment_name(segments_[removed].first_sequence);
    if (::unlinkat(directory_.fd.get(), name.c_str(), 0) < 0 && errno != ENOENT) {
      const int failure = errno;
      forget();
      throw_errno(failure, "remove " + directory_.path_of(name));
    }
  }
  forget();
  if (count > 0) base::sync_if_possible(directory_.fd.get(), directory_.path.string());
  return count;
}

}  // namespace sluice::crypto

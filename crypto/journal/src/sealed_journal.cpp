#include "sluice/crypto/journal/sealed_journal.hpp"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "group_buffer.hpp"
#include "journal_directory.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/crypto/key/error.hpp"

namespace sluice::crypto {
namespace {

constexpr std::uint64_t kMinSegmentBytes = std::uint64_t{64} << 10U;

void check(const JournalOptions& options) {
  const auto refuse = [](const std::string& what) {
    throw error(sluice::errc::bad_option, "journal: expected " + what);
  };
  if (options.segment_bytes < kMinSegmentBytes || options.segment_bytes > kMaxSegmentBytes / 2) {
    refuse("segment_bytes of 64 KiB .. 1 GiB, got " + std::to_string(options.segment_bytes));
  }
  if (options.frame_bytes < 1024 || options.frame_bytes > 4U << 20U) {
    refuse("frame_bytes of 1 KiB .. 4 MiB, got " + std::to_string(options.frame_bytes));
  }
  if (options.sync == SyncPolicy::interval && options.sync_interval <= std::chrono::milliseconds(0)) {
    refuse("a sync_interval above 0");
  }
  if (options.retain_age < std::chrono::seconds(0)) refuse("a retain_age of 0 or more");
  if (options.first_sequence == 0 || options.first_sequence > kLastSequence) {
    refuse("a first_sequence of 1 .. 2^64 - 2, got " + std::to_string(options.first_sequence));
  }
}

KeyRing all_keys(const SecretKey& key, const KeyRing* older) {
  KeyRing ring;
  if (older != nullptr) {
    for (const auto& one : older->keys()) ring.add(SecretKey::from_bytes(one.bytes()));
  }
  ring.add(SecretKey::from_bytes(key.bytes()));
  return ring;
}

}  // namespace

/// Sequence numbers in order: durable_ <= written_ <= next_. What lies between written_ and next_ is in the
/// buffer.
class SealedJournal::Writer {
 private:
  using Lock = std::unique_lock<std::mutex>;

  // Runs `work` with the mutex, on a journal that is open.
  template <typename Work>
  auto locked(Work work) {
    Lock lock(mutex_);
    check_open();
    report_retention();
    return work(lock);
  }

  // Again after every wait that comes before a call has done something: others may have closed it meanwhile.
  void check_open() const {
    if (failure_) std::rethrow_exception(failure_);
    if (closed_) throw error(sluice::errc::misuse, "journal used after close");
  }

  // Runs a write or an fsync; nobody knows what a failed one left on the disk, so the first failure is kept.
  template <typename Work>
  void kept(Work work) {
    try {
      work();
    } catch (...) {
      keep_failure();
      throw;
    }
  }

  // With the mutex held.
  void keep_failure() {
    if (!failure_) failure_ = std::current_exception();
    synced_.notify_all();
  }

  void report_retention() {
    if (retention_failure_) std::rethrow_exception(std::exchange(retention_failure_, nullptr));
  }

 public:
  Writer(const std::filesystem::path& path, const SecretKey& key, const JournalOptions& options,
         const KeyRing* older)
      : options_((check(options), options)),
        key_(SecretKey::from_bytes(key.bytes())),
        directory_(path, all_keys(key, older), options),
        next_(directory_.recovery().next_sequence),
        written_(next_),
        durable_(next_) {
    if (options_.sync == SyncPolicy::interval) {
      syncer_ = std::jthread([this](const std::stop_token& stop) { sync_regularly(stop); });
    }
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    try {
      close();
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): close() is there for who wants to know
    }
  }

  const base::OwnerProcess& owner() const { return owner_; }
  const JournalRecovery& recovery() const { return directory_.recovery(); }

  std::uint64_t append(std::span<const std::byte> record) {
    if (record.size() > kMaxRecordBytes) {
      throw error(sluice::errc::bad_option, "journal record: expected at most " +
                                                std::to_string(kMaxRecordBytes) + " bytes, got " +
                                                std::to_string(record.size()));
    }
    return locked([&](Lock& lock) {
      make_room(lock, record.size());
      if (next_ > kLastSequence) throw error(errc::no_numbers, "journal record");
      buffer_.add(record);
      const std::uint64_t sequence = next_++;
      if (buffer_.length() >= options_.frame_bytes) write_frame(lock);
      if (options_.sync == SyncPolicy::each) sync_up_to(lock, sequence + 1);
      if (options_.sync == SyncPolicy::interval && !std::exchange(unsynced_, true))
        unsynced_changed_.notify_one();
      return sequence;
    });
  }

  void flush() {
    locked([&](Lock& lock) { write_frame(lock); });
  }

  void sync() {
    locked([&](Lock& lock) { sync_up_to(lock, next_); });
  }

  void roll() {
    locked([&](Lock& lock) {
      end_segment(lock);
      remove_old_segments();
    });
  }

  template <typename Prune>
  std::size_t prune(Prune how) {
    return locked([&](Lock&) {
      if (segment_) directory_.set_newest_bytes(offset_);
      return how(directory_);
    });
  }

  std::uint64_t oldest_sequence() const {
    const std::lock_guard lock(mutex_);
    return directory_.segments().empty() ? written_ : directory_.segments().front().first_sequence;
  }
  std::uint64_t next_sequence() const {
    const std::lock_guard lock(mutex_);
    return next_;
  }
  std::uint64_t durable_sequence() const {
    const std::lock_guard lock(mutex_);
    return durable_;
  }

  void close() {
    const std::lock_guard alone(closing_);
    syncer_.request_stop();
    if (syncer_.joinable()) syncer_.join();
    Lock lock(mutex_);
    if (!std::exchange(closed_, true)) finish(lock);
    if (failure_) std::rethrow_exception(failure_);
    report_retention();
  }

 private:
  // The end of a journal that takes no more records. What is in it is synced, or the failure is kept.
  void finish(Lock& lock) {
    try {
      sync_up_to(lock, next_);
      if (!failure_) end_segment(lock);
    } catch (...) {
      keep_failure();
    }
    synced_.wait(lock, [&] { return !syncing_; });  // an fsync that still runs needs its descriptor
    segment_.reset();
    cipher_.reset();
    directory_.unlock();
  }

  // Others may take the room while this one waits for it.
  void make_room(Lock& lock, std::size_t record_bytes) {
    while (buffer_.records() > 0 && buffer_.length_with(record_bytes) > options_.frame_bytes) {
      write_frame(lock);
      check_open();
    }
  }

  // May let go of the mutex while it waits, like everything that takes a Lock&. Then others may append, roll
  // and close; whatever was in the buffer when it was called is written when it returns.
  void write_frame(Lock& lock) {
    finish_full_segment(lock);
    if (buffer_.records() == 0) return;
    kept([&] {
      if (!segment_) start_segment();
      const auto frame = buffer_.seal(segment_->keys, *cipher_, offset_, durable_offset_);
      base::write_all(segment_->fd.get(), frame, segment_->path);
      offset_ += frame.size();
    });
    written_ = next_;
    finish_full_segment(lock);
  }

  void end_segment(Lock& lock) {
    write_frame(lock);
    await_sync(lock);
    if (segment_) finish_segment();
  }

  void start_segment() {
    segment_.emplace(directory_.create_segment(key_, written_, options_.context));
    cipher_.emplace(segment_->keys.cipher(ChunkCipher::Direction::seal));
    offset_ = durable_offset_ = SegmentHeader::kSize;
    remove_old_segments();  // close() finished the one before
  }

  void finish_full_segment(Lock& lock) {
    const auto full = [&] { return segment_ && offset_ >= options_.segment_bytes; };
    if (!full()) return;
    await_sync(lock);
    if (!full()) return;  // another thread has finished it
    finish_segment();
    remove_old_segments();
  }

  void await_sync(Lock& lock) {
    synced_.wait(lock, [&] { return !syncing_; });
    if (failure_) std::rethrow_exception(failure_);
  }

  // A finished segment is durable, with the mark at its end, before a newer one exists: recovery finds torn
  // tails only in the newest.
  void finish_segment() {
    kept([&] {
      if (durable_ < written_) {
        base::sync_file(segment_->fd.get(), segment_->path);
        mark_durable(written_, offset_);
      }
      base::sync_file(segment_->fd.get(), segment_->path);
    });
    directory_.set_newest_bytes(offset_);
    segment_.reset();
    cipher_.reset();
  }

  // A failure harms no record: it is thrown by the next call, since the record of this one is in.
  void remove_old_segments() {
    try {
      if (options_.retain_bytes > 0) directory_.prune_to_bytes(options_.retain_bytes);
      if (options_.retain_age > std::chrono::seconds(0)) directory_.prune_older_than(options_.retain_age);
    } catch (...) {
      retention_failure_ = std::current_exception();
    }
  }

  // One thread syncs, without the mutex, for all that was written before; the others collect the next group
  // meanwhile.
  void sync_up_to(Lock& lock, std::uint64_t sequence) {
    while (durable_ < sequence) {
      if (failure_) std::rethrow_exception(failure_);
      if (syncing_) {
        synced_.wait(lock);
        continue;
      }
      write_frame(lock);
      if (syncing_ || durable_ == written_) continue;
      sync_segment(lock);
    }
  }

  // The segment says so, too: a reader learns it from there.
  void mark_durable(std::uint64_t sequence, std::uint64_t offset) {
    durable_ = sequence;
    durable_offset_ = offset;
    const auto mark = segment_->keys.encode({.durable = offset}, offset_);
    base::write_all(segment_->fd.get(), mark, segment_->path);
    offset_ += mark.size();
  }

  void sync_segment(Lock& lock) {
    syncing_ = true;
    const std::uint64_t written = written_;
    const std::uint64_t offset = offset_;
    const int fd = segment_->fd.get();  // stays open: finish_segment waits for us
    lock.unlock();
    std::exception_ptr failure;
    try {
      base::sync_file(fd, segment_->path);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    syncing_ = false;
    try {
      if (!failure) mark_durable(written, offset);
    } catch (...) {  // the records are durable all the same: the next call throws it
      failure = std::current_exception();
    }
    if (!failure_) failure_ = failure;
    synced_.notify_all();
  }

  // Sleeps until something is appended, then for the interval, then syncs: an idle journal costs nothing.
  void sync_regularly(const std::stop_token& stop) {
    Lock lock(mutex_);
    while (unsynced_changed_.wait(lock, stop, [&] { return unsynced_; })) {
      unsynced_changed_.wait_until(lock, stop, deadline_in(options_.sync_interval), [] { return false; });
      if (stop.stop_requested()) return;
      unsynced_ = false;
      try {
        sync_up_to(lock, next_);
      } catch (...) {
        return;  // it is kept, and the next call throws it
      }
    }
  }

  const base::OwnerProcess owner_;
  const JournalOptions options_;
  const SecretKey key_;

  std::mutex closing_;  // held by the one that closes, before the other
  mutable std::mutex mutex_;
  JournalDirectory directory_;
  GroupBuffer buffer_;
  std::uint64_t next_;
  std::uint64_t written_;
  std::uint64_t durable_;
  std::optional<JournalDirectory::NewSegment> segment_;
  std::optional<ChunkCipher> cipher_;
  std::uint64_t offset_ = 0;
  std::uint64_t durable_offset_ = 0;
  bool syncing_ = false;
  bool closed_ = false;
  std::exception_ptr failure_;
  std::exception_ptr retention_failure_;
  std::condition_variable synced_;
  bool unsynced_ = false;
  std::condition_variable_any unsynced_changed_;
  std::jthread syncer_;
};

SealedJournal::SealedJournal(const std::filesystem::path& directory, const SecretKey& key,
                             const JournalOptions& options, const KeyRing* older_keys)
    : writer_(new Writer(directory, key, options, older_keys)) {}
SealedJournal::SealedJournal(SealedJournal&&) noexcept = default;
SealedJournal& SealedJournal::operator=(SealedJournal&&) noexcept = default;
SealedJournal::~SealedJournal() = default;

void SealedJournal::Release::operator()(Writer* writer) const noexcept {
  if (!writer->owner().inherited()) delete writer;
}

/// Before anything is locked: in a child the mutex may be held by a thread that isn't there.
SealedJournal::Writer& SealedJournal::writer() const {
  Writer& writer = base::held(writer_, "a journal");
  writer.owner().check("a journal");
  return writer;
}

const JournalRecovery& SealedJournal::recovery() const {
  return base::held(writer_, "a journal").recovery();
}
std::uint64_t SealedJournal::append(std::span<const std::byte> record) {
  return writer().append(record);
}
void SealedJournal::flush() {
  writer().flush();
}
void SealedJournal::sync() {
  writer().sync();
}
void SealedJournal::roll() {
  writer().roll();
}
std::size_t SealedJournal::prune_to_bytes(std::uint64_t bytes) {
  return writer().prune([&](JournalDirectory& directory) { return directory.prune_to_bytes(bytes); });
}
std::size_t SealedJournal::prune_older_than(Duration age) {
  return writer().prune([&](JournalDirectory& directory) { return directory.prune_older_than(age); });
}
std::size_t SealedJournal::prune_before(std::uint64_t sequence) {
  return writer().prune([&](JournalDirectory& directory) { return directory.prune_before(sequence); });
}
std::uint64_t SealedJournal::oldest_sequence() const {
  return writer().oldest_sequence();
}
std::uint64_t SealedJournal::next_sequence() const {
  return writer().next_sequence();
}
std::uint64_t SealedJournal::durable_sequence() const {
  return writer().durable_sequence();
}
void SealedJournal::close() {
  writer().close();
}

}  // namespace sluice::crypto

// How much does a sealed, recoverable journal cost over a plain append, and how long does it take to open
// one?
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "floors/evp_loop.hpp"
#include "harness/clock.hpp"
#include "harness/suite.hpp"
#include "harness/temporary_folder.hpp"
#include "sluice/crypto/journal/journal_reader.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"

namespace sluice::bench {
namespace {

using Memory = std::vector<std::byte>;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kGroupBytes = 64 * kKiB;
constexpr std::uint64_t kFileBytes = 64 * kKiB * kKiB;  // then a new file, as the journal does

/// Records with their lengths, gathered in a buffer and written when it is full; sealed first if wanted.
class PlainAppend {
 public:
  PlainAppend(std::filesystem::path place, bool sealing)
      : place_(std::move(place)), sealing_(sealing), buffer_(kGroupBytes + EvpLoop::kTagBytes) {
    open_next();
  }
  PlainAppend(const PlainAppend&) = delete;
  PlainAppend& operator=(const PlainAppend&) = delete;
  ~PlainAppend() { ::close(fd_); }

  void append(std::span<const std::byte> record) {
    const auto length = static_cast<std::uint32_t>(record.size());
    if (filled_ + sizeof(length) + record.size() > kGroupBytes) write_group();
    std::memcpy(buffer_.data() + filled_, &length, sizeof(length));
    std::memcpy(buffer_.data() + filled_ + sizeof(length), record.data(), record.size());
    filled_ += sizeof(length) + record.size();
  }

  void sync() {
    write_group();
    if (::fsync(fd_) != 0) throw std::runtime_error("fsync failed");
  }

 private:
  void open_next() {
    const auto name = place_ / std::to_string(files_++);
    fd_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd_ < 0) throw std::runtime_error("can't create " + name.string());
    if (files_ > 2) std::filesystem::remove(place_ / std::to_string(files_ - 3));
  }

  void write_group() {
    std::size_t size = filled_;
    if (sealing_ && size > 0) {
      cipher_.seal(std::span(buffer_).first(size), buffer_, size);
      size += EvpLoop::kTagBytes;
    }
    if (::write(fd_, buffer_.data(), size) != static_cast<ssize_t>(size))
      throw std::runtime_error("short write");
    filled_ = 0;
    written_ += size;
    if (written_ < kFileBytes) return;
    written_ = 0;
    ::close(fd_);
    open_next();
  }

  std::filesystem::path place_;
  bool sealing_;
  EvpLoop cipher_{EvpLoop::Direction::seal};
  Memory buffer_;
  std::size_t filled_ = 0;
  std::uint64_t written_ = 0;
  unsigned files_ = 0;
  int fd_ = -1;
};

/// Records a second of `append`, which is called again and again for the planned time.
Metrics rate_of(const RunPlan& plan, std::size_t record_bytes, const std::function<void()>& append) {
  constexpr std::uint64_t kLookAtTheClock = 64;
  const auto start = monotonic_ns();
  auto now = start;
  std::uint64_t records = 0;
  while (now - start < plan.measured_ns) {
    append();
    if (++records % kLookAtTheClock == 0 || record_bytes > kGroupBytes) now = monotonic_ns();
  }
  return {{"rate", static_cast<double>(records) * 1e9 / static_cast<double>(now - start), "rec/s",
           Better::higher}};
}

Subject plain_subject(std::string name, std::string floor, const std::shared_ptr<TemporaryFolder>& place,
                      std::size_t bytes, bool sealing) {
  return {std::move(name), std::move(floor), [place, bytes, sealing](const Cores&, const RunPlan& plan) {
            PlainAppend file(place->path(), sealing);
            const Memory record(bytes, std::byte{7});
            return rate_of(plan, bytes, [&] { file.append(record); });
          }};
}

/// Reads what a journal still holds: each record as it was appended, up to the last one.
void check_journal(const std::filesystem::path& where, const crypto::SecretKey& key, const Memory& record,
                   std::uint64_t last) {
  crypto::JournalReader reader(where, key);
  while (const auto read = reader.next())
    if (!std::ranges::equal(read->bytes, record))
      throw std::runtime_error("a record isn't what was appended");
  if (reader.position() != last + 1)
    throw std::runtime_error(
        fmt::format("the journal ends at record {}, not {}", reader.position() - 1, last));
}

/// Appends to a new journal for the planned time, then checks it.
Metrics measure_journal(const std::filesystem::path& where, const crypto::JournalOptions& options,
                        std::size_t bytes, const RunPlan& plan, std::size_t clock_bytes) {
  std::filesystem::remove_all(where);
  const auto key = crypto::SecretKey::generate();
  crypto::SealedJournal journal(where, key, options);
  const Memory record(bytes, std::byte{7});
  std::uint64_t last = 0;
  auto metrics = rate_of(plan, clock_bytes, [&] { last = journal.append(record); });
  journal.close();
  check_journal(where, key, record, last);
  return metrics;
}

Subject journal_subject(std::string name, std::string floor, const std::shared_ptr<TemporaryFolder>& place,
                        std::size_t bytes, crypto::SyncPolicy policy) {
  return {std::move(name), std::move(floor), [place, bytes, policy](const Cores&, const RunPlan& plan) {
            return measure_journal(*place / "journal", {.sync = policy, .retain_bytes = 2 * kFileBytes},
                                   bytes, plan, bytes);
          }};
}

void add_appends(Suite& suite) {
  const auto memory = std::make_shared<TemporaryFolder>("/dev/shm");
  for (const std::size_t bytes : {kKiB, std::size_t{100}, 16 * kKiB}) {
    Group group{.name = "append, tmpfs", .size = bytes, .subjects = {}, .length = 5};
    const std::string floor = "plain append + cipher";
    group.subjects.push_back(plain_subject(floor, "", memory, bytes, true));
    group.subjects.push_back(plain_subject("plain append", floor, memory, bytes, false));
    group.subjects.push_back(
        journal_subject("journal, interval", floor, memory, bytes, crypto::SyncPolicy::interval));
    group.subjects.push_back(
        journal_subject("journal, none", floor, memory, bytes, crypto::SyncPolicy::none));
    suite.add(std::move(group));
  }
  const auto disk = std::make_shared<TemporaryFolder>();
  Group each{.name = "append and fsync each, temporary directory", .size = kKiB, .subjects = {}, .length = 5};
  each.subjects.push_back({"plain append, fsync each", "", [disk](const Cores&, const RunPlan& plan) {
                             PlainAppend file(disk->path(), true);
                             const Memory record(kKiB, std::byte{7});
                             return rate_of(plan, kGroupBytes + 1, [&] {
                               file.append(record);
                               file.sync();
                             });
                           }});
  each.subjects.push_back(
      {"journal, each", "plain append, fsync each", [disk](const Cores&, const RunPlan& plan) {
         return measure_journal(*disk / "journal", {.sync = crypto::SyncPolicy::each}, kKiB, plan,
                                kGroupBytes + 1);
       }});
  suite.add(std::move(each));
}

/// A journal of so many bytes, its writer killed without a close, made once for all runs.
class Crashed {
 public:
  void make(std::uint64_t bytes) {
    if (made_ == bytes) return;
    std::filesystem::remove_all(where());
    crypto::SealedJournal journal(where(), key_, {.sync = crypto::SyncPolicy::interval});
    const Memory record(kKiB, std::byte{7});
    for (std::uint64_t i = 0; i < bytes / kKiB; ++i) journal.append(record);
    journal.close();
    made_ = bytes;
  }
  std::uint64_t records() const { return made_ / kKiB; }
  std::filesystem::path where() const { return place_ / "journal"; }
  const crypto::SecretKey& key() const { return key_; }

 private:
  TemporaryFolder place_{"/dev/shm"};
  crypto::SecretKey key_ = crypto::SecretKey::generate();
  std::uint64_t made_ = 0;
};

Metrics time_of(const std::function<void()>& work) {
  const auto start = monotonic_ns();
  work();
  return {{"time", static_cast<double>(monotonic_ns() - start), "ns"}};
}

void add_recovery(Suite& suite) {
  constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
  constexpr std::uint64_t kSmokeNs = 50'000'000;
  const auto crashed = std::make_shared<Crashed>();
  const auto prepare = [crashed](const RunPlan& plan) {
    crashed->make(plan.measured_ns < kSmokeNs ? kGiB / 64 : kGiB);
  };
  const auto expect_all = [crashed](std::uint64_t records) {
    if (records != crashed->records())
      throw std::runtime_error(fmt::format("{} records of {}", records, crashed->records()));
  };
  Group group{.name = "open a 1 GiB journal", .size = kKiB, .subjects = {}, .length = 2, .most_runs = 5};
  group.subjects.push_back(
      {"read and verify all of it", "", [crashed, prepare, expect_all](const Cores&, const RunPlan& plan) {
         prepare(plan);
         std::uint64_t records = 0;
         auto metrics = time_of([&] { records = crypto::verify_journal(crashed->where(), crashed->key()); });
         expect_all(records);
         return metrics;
       }});
  group.subjects.push_back({"recover", "read and verify all of it",
                            [crashed, prepare, expect_all](const Cores&, const RunPlan& plan) {
                              prepare(plan);
                              std::uint64_t next = 0;
                              auto metrics = time_of([&] {
                                const crypto::SealedJournal journal(crashed->where(), crashed->key());
                                next = journal.next_sequence();
                              });
                              expect_all(next - 1);
                              return metrics;
                            }});
  suite.add(std::move(group));
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  Suite suite("bench_journal",
              "What does a sealed journal cost over a plain append, and how fast does it recover?");
  add_appends(suite);
  add_recovery(suite);
  return suite.run(argc, argv);
}

// Keys are nowhere but in their own guarded memory: not in a core file, not in what was freed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
#include <sstream>
#include <string>

#include "sluice/base/descriptor.hpp"
#include "sluice/crypto/journal/journal_reader.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "sluice/crypto/key/key_file.hpp"
#include "stream_start.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

/// A secret to look for, kept so that the search itself doesn't put it into memory.
class Needle {
 public:
  explicit Needle(std::span<const std::byte> secret) {
    for (std::size_t i = 0; i < masked_.size(); ++i) masked_[i] = secret[i] ^ kMask;
  }

  // Half of it is enough to count: registers spilled to a stack hold 16 bytes.
  std::size_t count_in(std::span<const std::byte> memory) const {
    return count_half(memory, 0) + count_half(memory, kHalf);
  }

 private:
  static constexpr std::size_t kHalf = 16;
  static constexpr std::byte kMask{0x5a};

  std::size_t count_half(std::span<const std::byte> memory, std::size_t from) const {
    std::size_t found = 0;
    while (memory.size() >= kHalf) {
      const int first = std::to_integer<int>(masked_[from] ^ kMask);
      const auto* next =
          static_cast<const std::byte*>(std::memchr(memory.data(), first, memory.size() - kHalf + 1));
      if (next == nullptr) break;
      memory = memory.subspan(static_cast<std::size_t>(next - memory.data()));
      if (matches(memory, from)) ++found;
      memory = memory.subspan(1);
    }
    return found;
  }

  bool matches(std::span<const std::byte> memory, std::size_t from) const {
    for (std::size_t i = 0; i < kHalf; ++i) {
      if ((memory[i] ^ kMask) != masked_[from + i]) return false;
    }
    return true;
  }

  std::array<std::byte, 32> masked_{};
};

/// A window into this process's memory that isn't itself searched.
class MemoryScan {
 public:
  MemoryScan()
      : window_(static_cast<std::byte*>(::mmap(nullptr, kWindow, PROT_READ | PROT_WRITE,
                                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0))),
        fd_(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC)) {}
  MemoryScan(const MemoryScan&) = delete;
  MemoryScan& operator=(const MemoryScan&) = delete;
  ~MemoryScan() {
    ::munmap(window_, kWindow);
    ::close(fd_);
  }

  /// How often the needle stands in writable memory.
  std::size_t count(const Needle& needle) const {
    std::ifstream maps("/proc/self/maps");
    std::size_t found = 0;
    for (std::string line; std::getline(maps, line);) {
      std::istringstream fields(line);
      std::uintptr_t begin = 0;
      std::uintptr_t end = 0;
      char dash = 0;
      std::string mode;
      fields >> std::hex >> begin >> dash >> end >> mode;
      const bool ours = begin <= address() && address() < end;
      const bool shadow = end - begin > (1U << 30U);  // of a sanitizer
      if (mode[0] == 'r' && !ours && !shadow) found += count_between(needle, begin, end);
    }
    return found;
  }

 private:
  static constexpr std::size_t kWindow = 1U << 20U;

  std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(window_); }

  std::size_t count_between(const Needle& needle, std::uintptr_t begin, std::uintptr_t end) const {
    std::size_t found = 0;
    while (begin < end) {
      const ssize_t count = ::pread(fd_, window_, std::min(kWindow, end - begin), static_cast<off_t>(begin));
      if (count <= 0) break;
      const auto got = static_cast<std::size_t>(count);
      found += needle.count_in({window_, got});
      if (got < kWindow) break;
      begin += got - 31;  // a secret across the border is seen by the next look
    }
    std::memset(window_, 0, kWindow);
    return found;
  }

  std::byte* window_;
  int fd_;
};

void use_every_part(const SecretKey& key, const std::filesystem::path& scratch) {
  const auto plain = pattern(200'000);
  for (const auto format : {Format::agcm, Format::c2sp}) {
    EXPECT_EQ(open_bytes(seal_bytes(plain, key, {.format = format}), key, {.format = format}), plain);
  }
  EXPECT_EQ(code_of([&] { open_bytes(seal_bytes(plain, key), key, {.context = "wrong"}); }),
            errc::not_authentic);
  SealedJournal journal(scratch / "journal", key);
  journal.append(plain);
  journal.close();
  EXPECT_EQ(verify_journal(scratch / "journal", key), 1U);
  save_key_file(scratch / "key", key);
  EXPECT_EQ(load_key_file(scratch / "key").id(), key.id());
}

TEST(Secrets, OfAKeyStandInItsOwnMemoryOnlyAndNowhereOnceItIsGone) {
  const ScratchDirectory scratch;
  const MemoryScan scan;
  std::optional<SecretKey> key = SecretKey::generate();
  const Needle needle(key->bytes());
  EXPECT_EQ(scan.count(needle), 2U) << "both halves, once: the search must be able to find it";
  use_every_part(*key, scratch.path());
  EXPECT_EQ(scan.count(needle), 2U);
  key.reset();
  EXPECT_EQ(scan.count(needle), 0U);
}

TEST(Secrets, OfAStreamAreGoneOnceItIsClosed) {
  const MemoryScan scan;
  const auto key = SecretKey::generate();
  std::optional<StreamStart> start = start_sealing(key, {});
  const Needle needle(start->keys.key());
  EXPECT_GE(scan.count(needle), 2U);
  {
    VectorSink sink;
    StreamingEncryptor encryptor(sink, std::move(*start));
    start.reset();
    encryptor.write(pattern(100'000));
    encryptor.close();
  }
  EXPECT_EQ(scan.count(needle), 0U);
}

TEST(Secrets, OfAPassphraseAreGoneOnceTheKeyIsGone) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP()
      << "AddressSanitizer lays out stacks anew, and what a library left in one isn't always overwritten";
#endif
  const MemoryScan scan;
  auto parameters = PassphraseParameters::with_random_salt();
  parameters.memory_kib = PassphraseParameters::kMinMemoryKib;
  std::optional<SecretKey> key = SecretKey::from_passphrase("correct horse", parameters);
  const Needle needle(key->bytes());
  EXPECT_EQ(scan.count(needle), 2U);
  key.reset();
  EXPECT_EQ(scan.count(needle), 0U);
}

/// The memory of a stopped process that the kernel would write into a core file: every mapping without the
/// flag "dd" of MADV_DONTDUMP (proc_pid_smaps(5)) that has a page at all; a sanitizer reserves terabytes.
Bytes memory_for_a_core_of(pid_t process) {
  const auto folder = std::filesystem::path("/proc") / std::to_string(process);
  const Descriptor memory(::open((folder / "mem").c_str(), O_RDONLY | O_CLOEXEC));
  std::ifstream maps(folder / "smaps");
  Bytes core;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool has_pages = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t first = 0;
    std::uintptr_t last = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &last) == 2) {
      begin = first;
      end = last;
      has_pages = false;
    }
    unsigned long kib = 0;
    if (std::sscanf(line.c_str(), "Rss: %lu", &kib) == 1 || std::sscanf(line.c_str(), "Swap: %lu", &kib) == 1)
      has_pages = has_pages || kib != 0;
    if (!has_pages || !line.starts_with("VmFlags:") || line.find(" dd") != std::string::npos) continue;
    Bytes mapping(end - begin);
    const ssize_t got = ::pread(memory.get(), mapping.data(), mapping.size(), static_cast<off_t>(begin));
    if (got > 0) core.insert(core.end(), mapping.begin(), mapping.begin() + got);
  }
  return core;
}

/// The core file that the kernel left in a folder; empty if core_pattern or a limit keeps it elsewhere.
Bytes core_file_in(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with("core")) return read_file(entry.path());
  }
  return {};
}

/// In a child: a key in use and another, used and gone, both told through `keys_out`. Stops, then dumps core.
[[noreturn]] void stop_and_dump_core_with_keys(const std::filesystem::path& folder, int keys_out) {
  const rlimit unlimited{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
  if (::setrlimit(RLIMIT_CORE, &unlimited) != 0 || ::chdir(folder.c_str()) != 0) std::_Exit(1);
  const auto in_use = SecretKey::generate();
  std::optional<SecretKey> gone = SecretKey::generate();
  // Straight from guarded memory into the pipe: no copy in this process.
  for (const SecretKey* key : {&in_use, static_cast<const SecretKey*>(&*gone)}) {
    if (::write(keys_out, key->bytes().data(), SecretKey::kSize) != SecretKey::kSize) std::_Exit(1);
  }
  use_every_part(*gone, folder);
  gone.reset();
  const auto marker = pattern(64, 12345);
  VectorSink sink;
  StreamingEncryptor unfinished(sink, in_use);
  unfinished.write(marker);
  ::raise(SIGSTOP);
  ::signal(SIGABRT, SIG_DFL);
  std::abort();
}

void expect_the_marker_but_no_key(const Bytes& core, const Bytes& keys) {
  const auto marker = pattern(64, 12345);
  EXPECT_NE(std::search(core.begin(), core.end(), marker.begin(), marker.end()), core.end())
      << "not a core of ours";
  EXPECT_EQ(Needle(std::span(keys).first(32)).count_in(core), 0U) << "the key in use";
  EXPECT_EQ(Needle(std::span(keys).last(32)).count_in(core), 0U) << "the key that is gone";
}

// What the kernel would dump is read from outside, which works under every core_pattern and sanitizer; if it
// leaves a file, that is searched, too.
TEST(Secrets, AreNotInACoreFile) {
  const ScratchDirectory scratch;
  std::array<int, 2> keys_out{};
  ASSERT_EQ(::pipe(keys_out.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) stop_and_dump_core_with_keys(scratch.path(), keys_out[1]);
  ::close(keys_out[1]);
  Bytes keys(2 * SecretKey::kSize);
  FdSource pipe(keys_out[0]);
  EXPECT_EQ(read_full(pipe, keys), keys.size());
  ::close(keys_out[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status)) << "the child ended early, status " << status;
  expect_the_marker_but_no_key(memory_for_a_core_of(child), keys);
  ::kill(child, SIGCONT);
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (const Bytes core = core_file_in(scratch.path()); !core.empty())
    expect_the_marker_but_no_key(core, keys);
}

}  // namespace
}  // namespace sluice::crypto::test

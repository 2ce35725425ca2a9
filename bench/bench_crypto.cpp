// How much does sealing cost over the bare cipher?
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "floors/evp_loop.hpp"
#include "harness/clock.hpp"
#include "harness/suite.hpp"
#include "harness/temporary_folder.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"
#include "sluice/crypto/seal/files.hpp"
#include "sluice/crypto/seal/streaming_decryptor.hpp"
#include "sluice/crypto/seal/streaming_encryptor.hpp"
#include "sluice/crypto/seal/transfer.hpp"

namespace sluice::bench {
namespace {

using Memory = std::vector<std::byte>;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;
constexpr std::size_t kBytes = 32 * kMiB;  // more than the caches hold

/// The same memory for everything in a group: what is sealed, what comes out, what is opened again. The bare
/// loop works where the chunks of the sealed stream stand, behind the header: which pages a buffer has makes
/// a difference of some per cent.
struct Buffers {
  explicit Buffers(std::size_t chunk_bytes)
      : chunk(chunk_bytes),
        options{.chunk_bytes = static_cast<std::uint32_t>(chunk)},
        key(crypto::SecretKey::generate()),
        plain(kBytes),
        sealed(crypto::sealed_size(kBytes, options)),
        opened(kBytes) {
    for (std::size_t i = 0; i < kBytes; ++i) plain[i] = static_cast<std::byte>(i * 2654435761U >> 13U);
    forget_opened();
    seal(1);
  }

  void seal_bare() { seal_bare(0, kBytes); }
  void seal_bare(std::size_t first, std::size_t bytes) {
    EvpLoop(EvpLoop::Direction::seal)
        .seal(std::span(plain).subspan(first * chunk, bytes), sealed_from(first), chunk, first);
  }
  void open_bare() { open_bare(0, kBytes); }
  void open_bare(std::size_t first, std::size_t bytes) {
    EvpLoop(EvpLoop::Direction::open)
        .open(sealed_from(first), std::span(opened).subspan(first * chunk, bytes), chunk, first);
  }

  // Half of the chunks in each of two threads: what two processors can give.
  template <typename Half>
  void in_two_threads(Half half) {
    std::jthread second([&] { half(kBytes / chunk / 2); });
    half(0);
  }
  void seal_bare_in_two_threads() {
    in_two_threads([&](std::size_t first) { seal_bare(first, kBytes / 2); });
  }
  void open_bare_in_two_threads() {
    in_two_threads([&](std::size_t first) { open_bare(first, kBytes / 2); });
  }
  std::span<std::byte> sealed_from(std::size_t first) {
    return std::span(sealed).subspan(crypto::AgcmHeader::kSize + first * (chunk + EvpLoop::kTagBytes));
  }

  void seal(unsigned workers) {
    crypto::MemorySource source(plain);
    crypto::MemorySink sink(sealed);
    crypto::seal(source, sink, key, options, {.workers = workers});
  }
  void open(unsigned workers) {
    crypto::MemorySource source(sealed);
    crypto::MemorySink sink(opened);
    crypto::open(source, sink, key, {}, {.workers = workers});
  }
  void seal_streaming() {
    crypto::MemorySink sink(sealed);
    crypto::StreamingEncryptor encryptor(sink, key, options);
    encryptor.write(plain);
    encryptor.close();
  }
  void open_streaming() {
    crypto::MemorySource source(sealed);
    crypto::StreamingDecryptor decryptor(source, key);
    if (decryptor.read(opened) != kBytes) throw std::runtime_error("short stream");
    decryptor.close();
  }
  void forget_opened() { std::memset(opened.data(), 1, opened.size()); }
  void check() const {
    if (opened != plain) throw std::runtime_error("what was opened isn't what was sealed");
  }

  std::size_t chunk;
  crypto::SealOptions options;
  crypto::SecretKey key;
  Memory plain;
  Memory sealed;
  Memory opened;
};

/// Bytes a second of work that moves kBytes, repeated for the planned time; `after` each is not counted.
Metrics rate_of(const RunPlan& plan, const std::function<void()>& work, const std::function<void()>& after) {
  work();
  after();
  std::uint64_t bytes = 0;
  std::uint64_t spent_ns = 0;
  do {
    const auto start = monotonic_ns();
    work();
    spent_ns += monotonic_ns() - start;
    bytes += kBytes;
    after();
  } while (spent_ns < plan.measured_ns);
  return {{"rate", static_cast<double>(bytes) * 1e9 / static_cast<double>(spent_ns), "B/s", Better::higher}};
}

Subject subject(
    std::string name, std::string floor, std::function<void()> work, std::function<void()> after = [] {}) {
  return {std::move(name), std::move(floor),
          [work = std::move(work), after = std::move(after)](const Cores&, const RunPlan& plan) {
            return rate_of(plan, work, after);
          }};
}

void add_memory(Suite& suite, std::size_t chunk) {
  const auto buffers = std::make_shared<Buffers>(chunk);
  const std::string floor = "bare EVP loop";
  const std::string floor_of_two = "bare EVP loop, 2 threads";
  const auto seal = [buffers] { buffers->seal(1); };
  const auto open = [buffers] { buffers->open(1); };
  const auto seal_bare = [buffers] { buffers->seal_bare(); };
  const auto open_bare = [buffers] { buffers->open_bare(); };
  // What is measured works on the result of what stands before it, or gives what stands behind it its input.
  const auto add = [buffers](Group& group, const std::string& name, const std::string& of,
                             const std::function<void()>& before, std::function<void()> work,
                             const std::function<void()>& behind) {
    auto one = subject(name, of, std::move(work));
    one.run = [buffers, before, behind, run = std::move(one.run)](const Cores& cores, const RunPlan& plan) {
      before();
      buffers->forget_opened();
      auto metrics = run(cores, plan);
      behind();
      buffers->check();
      return metrics;
    };
    group.subjects.push_back(std::move(one));
  };
  const auto nothing = [] {};

  Group sealing{.name = "seal, memory to memory", .size = chunk, .subjects = {}, .length = 3};
  add(sealing, floor, "", nothing, seal_bare, open_bare);
  add(
      sealing, floor_of_two, floor, nothing, [buffers] { buffers->seal_bare_in_two_threads(); }, open_bare);
  add(
      sealing, "StreamingEncryptor", floor, nothing, [buffers] { buffers->seal_streaming(); }, open);
  add(sealing, "seal, 1 worker", floor, nothing, seal, open);
  add(
      sealing, "seal, 2 workers", floor_of_two, nothing, [buffers] { buffers->seal(2); }, open);
  suite.add(std::move(sealing));

  Group opening{.name = "open, memory to memory", .size = chunk, .subjects = {}, .length = 3};
  add(opening, floor, "", seal_bare, open_bare, nothing);
  add(
      opening, floor_of_two, floor, seal_bare, [buffers] { buffers->open_bare_in_two_threads(); }, nothing);
  add(
      opening, "StreamingDecryptor", floor, seal, [buffers] { buffers->open_streaming(); }, nothing);
  add(opening, "open, 1 worker", floor, seal, open, nothing);
  add(
      opening, "open, 2 workers", floor_of_two, seal, [buffers] { buffers->open(2); }, nothing);
  suite.add(std::move(opening));
}

/// A tmpfs with huge pages that only this process sees, and that goes with it.
class HugePageFolder {
 public:
  explicit HugePageFolder(std::filesystem::path place) : place_(std::move(place)) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", place_.c_str(), "tmpfs", 0, "huge=within_size,size=1g,mode=0700") != 0)
      throw std::system_error(errno, std::system_category(), "mount a tmpfs with huge pages");
  }
  HugePageFolder(const HugePageFolder&) = delete;
  HugePageFolder& operator=(const HugePageFolder&) = delete;
  ~HugePageFolder() { ::umount2(place_.c_str(), MNT_DETACH); }

 private:
  std::filesystem::path place_;
};

class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) throw std::runtime_error("can't open " + path.string());
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { ::close(fd_); }
  int fd() const { return fd_; }

 private:
  int fd_;
};

constexpr std::size_t kPart = 256 * kKiB;  // of a plain copy: what a read or write moves

void plain_write(const Memory& bytes, const std::filesystem::path& to) {
  base::AtomicFile out(to);
  for (std::span rest(bytes); !rest.empty();) {
    const auto part = rest.first(std::min(rest.size(), kPart));
    out.write(part);
    rest = rest.subspan(part.size());
  }
  out.commit();
}

void plain_copy(const std::filesystem::path& from, const std::filesystem::path& to) {
  const OpenFile in(from);
  base::AtomicFile out(to);
  crypto::FdSource source(in.fd());
  Memory part(kPart);
  while (const auto count = source.read(part)) out.write(std::span(part).first(count));
  out.commit();
}

Memory read_file(const std::filesystem::path& path) {
  const OpenFile in(path);
  crypto::FdSource source(in.fd());
  Memory bytes(std::filesystem::file_size(path));
  std::size_t filled = 0;
  while (const auto count = source.read(std::span(bytes).subspan(filled))) filled += count;
  bytes.resize(filled);
  return bytes;
}

/// The floors of file to file, then the library: into a new file, and in the place of an old one, whose pages
/// are given back in the same call.
void add_files(Suite& suite, const std::string& name, const std::filesystem::path& from,
               const std::filesystem::path& to, const Memory& result, std::function<void()> in_memory,
               const std::function<void(unsigned workers)>& through_files,
               const std::function<void()>& check) {
  const std::string memory = "memory, 1 worker";
  const auto remove = [to] { std::filesystem::remove(to); };
  const auto checked = [&](Subject one, unsigned workers) {
    one.run = [through_files, check, workers, run = std::move(one.run)](const Cores& cores,
                                                                        const RunPlan& plan) {
      auto metrics = run(cores, plan);
      through_files(workers);
      check();
      return metrics;
    };
    return one;
  };
  Group group{.name = name, .size = 64 * kKiB, .subjects = {}, .length = 3};
  group.subjects.push_back(subject(memory, "", std::move(in_memory)));
  group.subjects.push_back(subject(
      "plain write of the result", memory, [&result, to] { plain_write(result, to); }, remove));
  group.subjects.push_back(subject(
      "plain copy of the file", memory, [from, to] { plain_copy(from, to); }, remove));
  for (const unsigned workers : {1U, 2U}) {
    group.subjects.push_back(
        checked(subject(
                    fmt::format("files, {} worker{}", workers, workers == 1 ? "" : "s"), memory,
                    [through_files, workers] { through_files(workers); }, remove),
                workers));
  }
  group.subjects.push_back(subject("plain copy over a file", memory, [from, to] { plain_copy(from, to); }));
  group.subjects.push_back(
      checked(subject("files, 1 worker, over a file", memory, [through_files] { through_files(1); }), 1));
  suite.add(std::move(group));
}

/// Both directions in `folder`; `owner` keeps it.
void add_files(Suite& suite, const std::string& where, const std::filesystem::path& folder,
               const std::shared_ptr<void>& owner) {
  const auto buffers = std::make_shared<Buffers>(64 * kKiB);
  const auto plain = folder / "plain";
  const auto sealed = folder / "sealed";
  const auto out = folder / "out";
  plain_write(buffers->plain, plain);
  plain_write(buffers->sealed, sealed);
  add_files(
      suite, "seal, file to file" + where, plain, out, buffers->sealed, [buffers] { buffers->seal(1); },
      [buffers, owner, plain, out](unsigned workers) {
        crypto::seal_file(plain, out, buffers->key, buffers->options, {.workers = workers});
      },
      [buffers, out] {
        buffers->sealed = read_file(out);
        buffers->forget_opened();
        buffers->open(1);
        buffers->check();
      });
  add_files(
      suite, "open, file to file" + where, sealed, out, buffers->plain, [buffers] { buffers->open(1); },
      [buffers, owner, sealed, out](unsigned workers) {
        crypto::open_file(sealed, out, buffers->key, {}, {.workers = workers});
      },
      [buffers, out] {
        buffers->opened = read_file(out);
        buffers->check();
      });
}

void add_files(Suite& suite) {
  const auto folder = std::make_shared<TemporaryFolder>("/dev/shm");
  add_files(suite, "", folder->path(), folder);
  try {
    struct Place {
      TemporaryFolder folder{"/dev/shm"};
      HugePageFolder mounted{folder.path()};
    };
    const auto place = std::make_shared<Place>();
    add_files(suite, ", huge pages", place->folder.path(), place);
  } catch (const std::system_error& problem) {
    suite.skip("file to file, huge pages", problem.what());
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  Suite suite("bench_crypto", "How much does sealing cost over the bare cipher?");
  for (const std::size_t chunk : {64 * kKiB, 4 * kKiB, kMiB}) add_memory(suite, chunk);
  add_files(suite);
  return suite.run(argc, argv);
}

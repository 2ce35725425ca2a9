// How much does sealing cost over the bare cipher?
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "floors/evp_loop.hpp"
#include "harness/clock.hpp"
#include "harness/suite.hpp"
#include "sluice/crypto/agcm_header.hpp"
#include "sluice/crypto/atomic_file.hpp"
#include "sluice/crypto/streaming_decryptor.hpp"
#include "sluice/crypto/streaming_encryptor.hpp"
#include "sluice/crypto/transfer.hpp"

namespace sluice::bench {
namespace {

using Memory = std::vector<std::byte>;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;
constexpr std::size_t kBytes = 32 * kMiB;  // more than the caches hold

/// The same memory for everything in a group: what is sealed, what comes out, what is opened again. The bare
/// loop works where the chunks of a sealed stream stand, behind the header, so that its memory is aligned
/// alike.
struct Buffers {
  explicit Buffers(std::size_t chunk_bytes)
      : chunk(chunk_bytes),
        options{.chunk_size = static_cast<std::uint32_t>(chunk)},
        key(crypto::SecretKey::generate()),
        plain(kBytes),
        sealed(crypto::sealed_size(kBytes, options)),
        opened(kBytes),
        bare(kBytes / chunk * (chunk + EvpLoop::kTagBytes)) {
    for (std::size_t i = 0; i < kBytes; ++i) plain[i] = static_cast<std::byte>(i * 2654435761U >> 13U);
    std::memset(opened.data(), 1, opened.size());
    seal(1);
    seal_bare(plain, chunks(bare));
  }

  static std::span<std::byte> chunks(Memory& stream) {
    return std::span(stream).subspan(crypto::AgcmHeader::kSize);
  }
  void seal_bare(std::span<const std::byte> from, std::span<std::byte> to, std::size_t first = 0) const {
    EvpLoop(EvpLoop::Direction::seal).seal(from, to, chunk, first);
  }
  void open_bare() { EvpLoop(EvpLoop::Direction::open).open(chunks(bare), opened, chunk); }

  // Half of the chunks in each of two threads: what two processors can give.
  template <typename Half>
  void in_two_threads(Half half) {
    std::jthread second([&] { half(kBytes / chunk / 2); });
    half(0);
  }
  void seal_bare_in_two_threads() {
    in_two_threads([&](std::size_t first) {
      seal_bare(std::span(plain).subspan(first * chunk, kBytes / 2), sealed_from(first), first);
    });
  }
  void open_bare_in_two_threads() {
    in_two_threads([&](std::size_t first) {
      const auto to = std::span(opened).subspan(first * chunk, kBytes / 2);
      EvpLoop(EvpLoop::Direction::open).open(sealed_from(first), to, chunk, first);
    });
  }
  std::span<std::byte> sealed_from(std::size_t first) {
    return chunks(bare).subspan(first * (chunk + EvpLoop::kTagBytes));
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
  void check() const {
    if (opened != plain) throw std::runtime_error("what was opened isn't what was sealed");
  }

  std::size_t chunk;
  crypto::SealOptions options;
  crypto::SecretKey key;
  Memory plain;
  Memory sealed;
  Memory opened;
  Memory bare;
};

/// Bytes a second of work that moves kBytes, repeated for the planned time.
Metrics rate_of(const RunPlan& plan, const std::function<void()>& work) {
  work();
  std::uint64_t bytes = 0;
  const auto start = monotonic_ns();
  std::uint64_t now = 0;
  do {
    work();
    bytes += kBytes;
    now = monotonic_ns();
  } while (now - start < plan.measured_ns);
  return {
      {"rate", static_cast<double>(bytes) * 1e9 / static_cast<double>(now - start), "B/s", Better::higher}};
}

Subject subject(std::string name, std::string floor, std::function<void()> work) {
  return {std::move(name), std::move(floor),
          [work = std::move(work)](const Cores&, const RunPlan& plan) { return rate_of(plan, work); }};
}

void add_memory(Suite& suite, std::size_t chunk) {
  const auto buffers = std::make_shared<Buffers>(chunk);
  Group sealing{.name = "seal, memory to memory", .size = chunk, .subjects = {}, .length = 3};
  sealing.subjects.push_back(subject("bare EVP loop", "", [buffers] {
    buffers->seal_bare(buffers->plain, Buffers::chunks(buffers->bare));
  }));
  sealing.subjects.push_back(subject("bare EVP loop, 2 threads", "bare EVP loop",
                                     [buffers] { buffers->seal_bare_in_two_threads(); }));
  sealing.subjects.push_back(
      subject("StreamingEncryptor", "bare EVP loop", [buffers] { buffers->seal_streaming(); }));
  sealing.subjects.push_back(subject("seal, 1 worker", "bare EVP loop", [buffers] { buffers->seal(1); }));
  sealing.subjects.push_back(
      subject("seal, 2 workers", "bare EVP loop, 2 threads", [buffers] { buffers->seal(2); }));
  suite.add(std::move(sealing));

  Group opening{.name = "open, memory to memory", .size = chunk, .subjects = {}, .length = 3};
  opening.subjects.push_back(subject("bare EVP loop", "", [buffers] { buffers->open_bare(); }));
  opening.subjects.push_back(subject("bare EVP loop, 2 threads", "bare EVP loop",
                                     [buffers] { buffers->open_bare_in_two_threads(); }));
  opening.subjects.push_back(
      subject("StreamingDecryptor", "bare EVP loop", [buffers] { buffers->open_streaming(); }));
  opening.subjects.push_back(subject("open, 1 worker", "bare EVP loop", [buffers] { buffers->open(1); }));
  opening.subjects.push_back(
      subject("open, 2 workers", "bare EVP loop, 2 threads", [buffers] { buffers->open(2); }));
  for (auto& one : opening.subjects) {
    one.run = [buffers, run = std::move(one.run)](const Cores& cores, const RunPlan& plan) {
      auto metrics = run(cores, plan);
      buffers->check();
      return metrics;
    };
  }
  suite.add(std::move(opening));
}

/// Files in memory, removed at the end.
class Files {
 public:
  Files() {
    std::string name = "/dev/shm/sluice-bench-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("can't make a directory in /dev/shm");
    place_ = name;
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  ~Files() {
    std::error_code ignored;
    std::filesystem::remove_all(place_, ignored);
  }
  std::filesystem::path operator/(const char* name) const { return place_ / name; }

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

void plain_copy(const std::filesystem::path& from, const std::filesystem::path& to) {
  const OpenFile in(from);
  crypto::AtomicFile out(to);
  crypto::FdSource source(in.fd());
  Memory part(256 * kKiB);
  while (const auto count = source.read(part)) out.write(std::span(part).first(count));
  out.commit();
}

template <typename Work>
void through_files(const std::filesystem::path& from, const std::filesystem::path& to, Work work) {
  const OpenFile in(from);
  crypto::AtomicFile out(to);
  crypto::FdSource source(in.fd());
  work(source, out);
  out.commit();
}

void add_files(Suite& suite) {
  const auto buffers = std::make_shared<Buffers>(64 * kKiB);
  const auto files = std::make_shared<Files>();
  {
    crypto::AtomicFile plain(*files / "plain");
    plain.write(buffers->plain);
    plain.commit();
    crypto::AtomicFile sealed(*files / "sealed");
    sealed.write(buffers->sealed);
    sealed.commit();
  }
  Group sealing{.name = "seal, file to file", .size = 64 * kKiB, .subjects = {}, .length = 3};
  sealing.subjects.push_back(subject("memory, 1 worker", "", [buffers] { buffers->seal(1); }));
  sealing.subjects.push_back(subject("plain copy of the file", "memory, 1 worker",
                                     [files] { plain_copy(*files / "plain", *files / "copy"); }));
  for (const unsigned workers : {1U, 2U}) {
    sealing.subjects.push_back(
        subject(fmt::format("files, {} worker{}", workers, workers == 1 ? "" : "s"), "memory, 1 worker",
                [buffers, files, workers] {
                  through_files(*files / "plain", *files / "out", [&](auto& source, auto& sink) {
                    crypto::seal(source, sink, buffers->key, buffers->options, {.workers = workers});
                  });
                }));
  }
  suite.add(std::move(sealing));

  Group opening{.name = "open, file to file", .size = 64 * kKiB, .subjects = {}, .length = 3};
  opening.subjects.push_back(subject("memory, 1 worker", "", [buffers] { buffers->open(1); }));
  for (const unsigned workers : {1U, 2U}) {
    opening.subjects.push_back(
        subject(fmt::format("files, {} worker{}", workers, workers == 1 ? "" : "s"), "memory, 1 worker",
                [buffers, files, workers] {
                  through_files(*files / "sealed", *files / "out", [&](auto& source, auto& sink) {
                    crypto::open(source, sink, buffers->key, {}, {.workers = workers});
                  });
                }));
  }
  suite.add(std::move(opening));
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

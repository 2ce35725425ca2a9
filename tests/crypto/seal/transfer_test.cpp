// Serial, parallel and random access must agree on every byte, also about what is damaged.
#include "sluice/crypto/seal/transfer.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>

#include "sluice/crypto/seal/agcm_header.hpp"
#include "sluice/crypto/seal/random_access_decryptor.hpp"
#include "support.hpp"

namespace sluice::crypto::test {
namespace {

constexpr std::size_t kChunk = 4096;

// A source and a sink that aren't memory: nothing is lent, reads are short.
class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t count = std::min({into.size(), bytes_.size() - position_, std::size_t{5000}});
    std::ranges::copy(bytes_.subspan(position_, count), into.begin());
    position_ += count;
    return count;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

class FailingAfter final : public ByteSource {
 public:
  FailingAfter(std::span<const std::byte> bytes, std::size_t good) : inner_(bytes.first(good)) {}
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t count = inner_.read(into);
    if (count == 0) throw std::runtime_error("the cable was pulled");
    return count;
  }

 private:
  PlainSource inner_;
};

TEST(Transfer, IsTheSameForAnyNumberOfWorkersAndAnyKindOfEnds) {
  const auto key = test_key();
  const SealOptions options{.chunk_bytes = kChunk, .context = "t"};
  const OpenOptions opening{.context = "t"};
  constexpr std::size_t kRun = 256UL * 1024;  // the engine's unit of work
  for (const std::size_t size : {std::size_t{0}, kRun - 1, kRun, kRun + 1, 5 * kRun, 5 * kRun + 12'345}) {
    const auto plain = pattern(size);
    for (const unsigned workers : {1U, 2U, 5U}) {
      SCOPED_TRACE(std::to_string(size) + " bytes, " + std::to_string(workers) + " workers");
      const TransferOptions transfer{.workers = workers};
      PlainSource source(plain);
      VectorSink sealed;
      ASSERT_EQ(seal(source, sealed, key, options, transfer), size);
      ASSERT_EQ(open_bytes(sealed.bytes(), key, opening), plain);

      PlainSource sealed_source(sealed.bytes());
      VectorSink opened;
      ASSERT_EQ(open(sealed_source, opened, key, opening, transfer), size);
      ASSERT_EQ(opened.bytes(), plain);

      MemorySource memory(plain);
      Bytes sealed_room(sealed_size(size, options));
      MemorySink sealed_memory(sealed_room);
      ASSERT_EQ(seal(memory, sealed_memory, key, options, transfer), size);
      ASSERT_EQ(sealed_memory.size(), sealed_room.size());
      MemorySource sealed_again(sealed_room);
      Bytes room(size);
      MemorySink opened_memory(room);
      ASSERT_EQ(open(sealed_again, opened_memory, key, opening, transfer), size);
      ASSERT_EQ(room, plain);
    }
  }
}

TEST(Transfer, HandsOutTheSamePrefixAndErrorForAnyNumberOfWorkers) {
  const auto key = test_key();
  const auto plain = pattern(300 * kChunk + 11);
  const auto sealed = seal_bytes(plain, key, {.chunk_bytes = kChunk});
  for (const std::size_t bad_chunk : {0U, 63U, 64U, 65U, 200U, 300U}) {
    auto damaged = sealed;
    damaged[AgcmHeader::kSize + bad_chunk * (kChunk + kTagSize)] ^= std::byte{1};
    for (const unsigned workers : {1U, 2U, 5U}) {
      PlainSource source(damaged);
      VectorSink sink;
      EXPECT_EQ(code_of([&] { open(source, sink, key, {}, {.workers = workers}); }), errc::not_authentic);
      EXPECT_EQ(sink.bytes(),
                Bytes(plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(bad_chunk * kChunk)))
          << bad_chunk << " with " << workers;
    }
  }
}

TEST(Transfer, PassesOnWhatASourceThrowsAndEndsItsThreads) {
  const auto plain = pattern(2'000'000);
  for (const unsigned workers : {1U, 3U}) {
    FailingAfter source(plain, 1'500'000);
    VectorSink sink;
    EXPECT_THROW(seal(source, sink, test_key(), {}, {.workers = workers}), std::runtime_error);
  }
}

TEST(Transfer, EndsWhereTheDestinationIsTooSmall) {
  const auto plain = pattern(2'000'000);
  for (const unsigned workers : {1U, 3U}) {
    MemorySource source(plain);
    Bytes room(1'000'000);
    MemorySink sink(room);
    EXPECT_EQ(code_of([&] { seal(source, sink, test_key(), {}, {.workers = workers}); }), errc::no_room);
  }
}

TEST(Transfer, ReportsProgressInGrowingOrder) {
  const auto plain = pattern(3'000'000);
  for (const unsigned workers : {1U, 3U}) {
    MemorySource source(plain);
    VectorSink sink;
    std::uint64_t last = 0;
    const auto progress = [&](std::uint64_t done) {
      EXPECT_GE(done, last);
      last = done;
    };
    seal(source, sink, test_key(), {}, {.workers = workers, .progress = progress});
    EXPECT_EQ(last, plain.size());
  }
}

TEST(Transfer, StopsOnRequest) {
  const auto plain = pattern(3'000'000);
  for (const unsigned workers : {1U, 3U}) {
    MemorySource source(plain);
    VectorSink sink;
    std::stop_source stop;
    const TransferOptions transfer{.workers = workers,
                                   .progress = [&](std::uint64_t) { stop.request_stop(); },
                                   .cancel = stop.get_token()};
    EXPECT_EQ(code_of([&] { seal(source, sink, test_key(), {}, transfer); }), errc::cancelled);
    EXPECT_LT(sink.bytes().size(), plain.size());
  }
}

// A pipe that holds what is written to it, and whose other end stays open.
class SilentPipe {
 public:
  SilentPipe() { EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0); }
  SilentPipe(const SilentPipe&) = delete;
  SilentPipe& operator=(const SilentPipe&) = delete;
  ~SilentPipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  int reading_end() const { return ends_[0]; }
  void write(std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const auto count = ::write(ends_[1], bytes.data(), bytes.size());
      ASSERT_GT(count, 0);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

 private:
  std::array<int, 2> ends_{};
};

class SlowSink final : public ByteSink {
 public:
  void write(std::span<const std::byte> /*bytes*/) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
};

TEST(Transfer, ReportsAFailureWhileItsSourceIsSilent) {
  constexpr std::size_t kRun = 64 * (kChunk + kTagSize);
  auto sealed = seal_bytes(pattern(3'000'000), test_key(), {.chunk_bytes = kChunk});
  sealed[AgcmHeader::kSize + kRun + 5] ^= std::byte{1};
  for (const unsigned workers : {1U, 3U}) {
    const SilentPipe pipe;
    FdSource source(pipe.reading_end());
    SlowSink sink;
    auto opening = std::async(std::launch::async, [&] {
      return code_of([&] { open(source, sink, test_key(), {}, {.workers = workers}); });
    });
    // While the first run is being written another thread goes on to wait for the third one.
    pipe.write(std::span(sealed).first(AgcmHeader::kSize + 2 * kRun + 100));
    ASSERT_EQ(opening.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    EXPECT_EQ(opening.get(), errc::not_authentic);
  }
}

TEST(Transfer, StopsOnRequestWhileItsSourceIsSilent) {
  for (const unsigned workers : {1U, 3U}) {
    const SilentPipe pipe;
    FdSource source(pipe.reading_end());
    VectorSink sink;
    std::stop_source stop;
    auto sealing = std::async(std::launch::async, [&] {
      return code_of(
          [&] { seal(source, sink, test_key(), {}, {.workers = workers, .cancel = stop.get_token()}); });
    });
    EXPECT_EQ(sealing.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
    stop.request_stop();
    ASSERT_EQ(sealing.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    EXPECT_EQ(sealing.get(), errc::cancelled);
  }
}

class Liar final : public ByteSource {
 public:
  std::size_t read(std::span<std::byte> /*into*/) override { return 0; }
  std::optional<std::span<const std::byte>> take(std::size_t size) override {
    bytes_.resize(size + 1);
    return bytes_;
  }

 private:
  Bytes bytes_;
};

TEST(Transfer, RefusesASourceThatGivesMoreThanItWasAskedFor) {
  Liar source;
  VectorSink sink;
  EXPECT_EQ(code_of([&] { seal(source, sink, test_key()); }), sluice::errc::misuse);
}

TEST(Transfer, RefusesNumbersOfWorkersOutOfRange) {
  MemorySource source({});
  VectorSink sink;
  for (const unsigned workers : {0U, 257U}) {
    EXPECT_EQ(code_of([&] { seal(source, sink, test_key(), {}, {.workers = workers}); }),
              sluice::errc::bad_option);
  }
  EXPECT_TRUE(sink.bytes().empty());
}

// A source as long as one likes, and a sink that only counts.
class Zeros final : public ByteSource {
 public:
  explicit Zeros(std::uint64_t size) : left_(size) {}
  std::size_t read(std::span<std::byte> into) override {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left_));
    left_ -= count;
    std::ranges::fill(into.first(count), std::byte{0});
    return count;
  }

 private:
  std::uint64_t left_;
};

class Counter final : public ByteSink {
 public:
  void write(std::span<const std::byte> bytes) override { count += bytes.size(); }
  std::uint64_t count = 0;
};

// Says when it is entered while it is in use.
class Alone {
 public:
  explicit Alone(std::atomic<bool>& busy) : busy_(busy) { EXPECT_FALSE(busy_.exchange(true)); }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;
  ~Alone() { busy_ = false; }

 private:
  std::atomic<bool>& busy_;
};

class LonelySource final : public ByteSource {
 public:
  explicit LonelySource(std::span<const std::byte> bytes) : inner_(bytes) {}
  std::size_t read(std::span<std::byte> into) override {
    const Alone alone(busy_);
    std::this_thread::yield();
    return inner_.read(into);
  }

 private:
  PlainSource inner_;
  std::atomic<bool> busy_ = false;
};

class LonelySink final : public ByteSink {
 public:
  void write(std::span<const std::byte> bytes) override {
    const Alone alone(busy_);
    std::this_thread::yield();
    inner_.write(bytes);
  }
  const Bytes& bytes() const { return inner_.bytes(); }

 private:
  VectorSink inner_;
  std::atomic<bool> busy_ = false;
};

TEST(Transfer, CallsSourceAndSinkFromOneThreadAtATime) {
  const auto plain = pattern(3'000'000);
  for (const unsigned workers : {1U, 4U}) {
    LonelySource source(plain);
    LonelySink sink;
    EXPECT_EQ(seal(source, sink, test_key(), {}, {.workers = workers}), plain.size());
    EXPECT_EQ(open_bytes(sink.bytes(), test_key()), plain);
  }
}

std::int64_t status_kib(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::int64_t kib = 0;
    if (word == field && status >> kib) return kib;
  }
  ADD_FAILURE() << "no " << field << " in /proc/self/status";
  return 0;
}

TEST(Transfer, UsesMemoryThatDoesNotGrowWithTheStream) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own memory grows with what a program does";
#endif
  const auto run = [](std::uint64_t size, const SealOptions& options, unsigned workers) {
    Zeros source(size);
    Counter sink;
    EXPECT_EQ(seal(source, sink, test_key(), options, {.workers = workers}), size);
    EXPECT_EQ(sink.count, sealed_size(size, options));
  };
  run(10'000'000, {}, 2);
  const auto grown_kib = [&](std::uint64_t size, const SealOptions& options, unsigned workers) {
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak starts anew from what is in use
    const auto before = status_kib("VmRSS:");
    run(size, options, workers);
    return status_kib("VmHWM:") - before;
  };
  EXPECT_LT(grown_kib(300'000'000, {}, 2), 4 * 1024);
  // Large chunks: three a worker at most.
  EXPECT_LT(grown_kib(200'000'000, {.chunk_bytes = AgcmHeader::kMaxChunkSize}, 1),
            3 * AgcmHeader::kMaxChunkSize / 1024 + 4 * 1024);
}

TEST(RandomAccess, AgreesWithTheStreamAtEveryKindOfPosition) {
  const auto key = test_key();
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same positions in every run
  for (const std::size_t size : {0UL, 1UL, kChunk - 1, kChunk, kChunk + 1, 5 * kChunk, 5 * kChunk + 99}) {
    const auto plain = pattern(size);
    const auto sealed = seal_bytes(plain, key, {.chunk_bytes = kChunk});
    MemorySource source(sealed);
    RandomAccessDecryptor reader(source, key);
    ASSERT_EQ(reader.size(), size);
    for (int i = 0; i < 300; ++i) {
      const std::size_t offset = random() % (size + 10);
      const std::size_t count = random() % (i % 3 == 0 ? 3 * kChunk : 50);
      Bytes part(count);
      const std::size_t expected = offset >= size ? 0 : std::min(count, size - offset);
      ASSERT_EQ(reader.read(offset, part), expected);
      ASSERT_TRUE(std::equal(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(expected),
                             plain.begin() + static_cast<std::ptrdiff_t>(std::min(offset, size))));
    }
    Bytes part(1);
    EXPECT_EQ(reader.read(UINT64_MAX, part), 0U);
  }
}

TEST(RandomAccess, RefusesADamagedChunkAndStillReadsTheOthers) {
  const auto key = test_key();
  const auto plain = pattern(3 * kChunk + 5);
  auto sealed = seal_bytes(plain, key, {.chunk_bytes = kChunk});
  sealed[AgcmHeader::kSize + (kChunk + kTagSize) + 7] ^= std::byte{4};
  MemorySource source(sealed);
  RandomAccessDecryptor reader(source, key);
  Bytes part(10);
  EXPECT_EQ(code_of([&] { reader.read(kChunk + 1, part); }), errc::not_authentic);
  EXPECT_EQ(reader.read(2 * kChunk, part), 10U);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), plain.begin() + 2 * kChunk));
  EXPECT_EQ(code_of([&] { reader.read(kChunk - 5, part); }), errc::not_authentic);
}

TEST(RandomAccess, RefusesAStreamWhoseEndIsCut) {
  const auto key = test_key();
  const auto sealed = seal_bytes(pattern(3 * kChunk), key, {.chunk_bytes = kChunk});
  const Bytes cut(sealed.begin(), sealed.end() - kTagSize);
  MemorySource source(cut);
  EXPECT_EQ(code_of([&] { RandomAccessDecryptor(source, key); }), errc::not_authentic);
}

}  // namespace
}  // namespace sluice::crypto::test

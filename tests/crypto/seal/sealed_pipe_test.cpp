// sluice seal and open between pipes: what comes out is what went in, and memory doesn't grow with it. 20 GB
// as a soak.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "command.hpp"
#include "temp_directory.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

#ifdef SLUICE_SOAK
constexpr std::uint64_t kBytes = 20'000'000'000;
#else
constexpr std::uint64_t kBytes = 200'000'000;
#endif

void write_zeros(int fd, std::uint64_t count) {
  const std::vector<char> zeros(1U << 20U);
  while (count > 0) {
    const auto written = ::write(fd, zeros.data(), std::min<std::uint64_t>(count, zeros.size()));
    ASSERT_GT(written, 0);
    count -= static_cast<std::uint64_t>(written);
  }
}

std::uint64_t read_zeros(int fd) {
  std::vector<char> buffer(1U << 20U);
  std::uint64_t count = 0;
  for (;;) {
    const auto got = ::read(fd, buffer.data(), buffer.size());
    if (got <= 0) return count;
    EXPECT_TRUE(std::all_of(buffer.begin(), buffer.begin() + got, [](char byte) { return byte == 0; }));
    count += static_cast<std::uint64_t>(got);
  }
}

TEST(SealedPipe, CarriesAStreamOfAnyLengthInTheSameMemory) {
  const Watchdog watchdog(std::chrono::minutes(10), "a sealed pipe");
  const TempDirectory directory;
  const auto key = directory.file("key");
  ASSERT_TRUE(Command(directory, {"sluice", "keygen", key}).wait().ok());
  Pipe plain;
  Pipe sealed;
  Pipe opened;
  Command seal(directory, {"sluice", "seal", "--key-file", key, "-", "-"}, plain.read, sealed.write);
  Command open(directory, {"sluice", "open", "--key-file", key, "-", "-"}, sealed.read, opened.write);
  for (Descriptor* end : {&plain.read, &sealed.read, &sealed.write, &opened.write}) end->reset();
  std::jthread writer([&] {
    write_zeros(plain.write.get(), kBytes);
    plain.write.reset();
  });
  EXPECT_EQ(read_zeros(opened.read.get()), kBytes);
  EXPECT_TRUE(seal.succeeds());
  EXPECT_TRUE(open.succeeds());
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  rusage largest{};
  ASSERT_EQ(::getrusage(RUSAGE_CHILDREN, &largest), 0);
  RecordProperty("peak_kib", std::to_string(largest.ru_maxrss));
  EXPECT_LT(largest.ru_maxrss, 16 * 1024);  // KiB: the program itself, and a few MiB of chunks
#endif
}

}  // namespace
}  // namespace sluice::test

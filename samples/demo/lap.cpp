#include "lap.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace demo {

Input load(const std::string& path) {
  const auto fail = [&](const char* what) {
    throw std::system_error(errno, std::system_category(), what + path);
  };
  const auto close = [](FILE* file) { std::fclose(file); };
  const std::unique_ptr<FILE, decltype(close)> file(std::fopen(path.c_str(), "rb"), close);
  if (!file) fail("opening ");
  constexpr std::size_t kStep = 1U << 20U;
  Input input;
  while (input.bytes.size() <= kMaxInputBytes) {
    const std::size_t filled = input.bytes.size();
    input.bytes.resize(filled + kStep);
    const std::size_t count = std::fread(input.bytes.data() + filled, 1, kStep, file.get());
    if (std::ferror(file.get()) != 0) fail("reading ");
    input.bytes.resize(filled + count);
    if (count == 0) break;
  }
  if (input.bytes.empty()) throw std::runtime_error(path + " is empty: expected at least one byte to stream");
  input.cut = input.bytes.size() > kMaxInputBytes;
  input.bytes.resize(std::min(input.bytes.size(), kMaxInputBytes));
  return input;
}

Lap::Lap(std::span<const std::byte> all, std::size_t record_size) : bytes(all), record_bytes(record_size) {
  const std::uint64_t records = (all.size() + record_size - 1) / record_size;
  answers.reserve(records + 1);
  const auto start = std::chrono::steady_clock::now();
  RunningDigest running;
  for (std::uint64_t index = 0; index <= records; ++index) {
    running.update(record(index));
    answers.push_back(running.so_far());
  }
  time_alone = std::chrono::steady_clock::now() - start;
}

std::span<const std::byte> Lap::record(std::uint64_t index) const {
  const std::size_t start = std::min<std::size_t>(index * record_bytes, bytes.size());
  return bytes.subspan(start, std::min(record_bytes, bytes.size() - start));
}

}  // namespace demo

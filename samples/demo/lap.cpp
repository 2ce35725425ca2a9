#include "lap.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"

namespace demo {

Input load(const std::string& path) {
  const sluice::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) sluice::throw_errno("opening " + path);
  constexpr std::size_t kStep = 1U << 20U;
  Input input;
  std::size_t filled = 0;
  for (;;) {
    input.bytes.resize(filled + kStep);
    const ssize_t count = ::read(file.get(), input.bytes.data() + filled, kStep);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) sluice::throw_errno("reading " + path);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
    if (filled > kMaxInputBytes) break;
  }
  input.cut = filled > kMaxInputBytes;
  input.bytes.resize(std::min(filled, kMaxInputBytes));
  if (input.bytes.empty()) throw std::runtime_error(path + " is empty: expected at least one byte to stream");
  return input;
}

Lap::Lap(std::span<const std::byte> bytes, std::size_t record_bytes)
    : bytes_(bytes), record_bytes_(record_bytes) {
  const std::uint64_t records = (bytes.size() + record_bytes - 1) / record_bytes;
  answers_.reserve(records + 1);
  const auto start = std::chrono::steady_clock::now();
  RunningDigest digest;
  for (std::uint64_t index = 0; index < records; ++index) {
    digest.update(record(index));
    answers_.push_back(digest.so_far());
  }
  answers_.push_back(digest.so_far());
  time_alone_ = std::chrono::steady_clock::now() - start;
}

std::span<const std::byte> Lap::record(std::uint64_t index) const {
  const std::size_t start = std::min<std::size_t>(index * record_bytes_, bytes_.size());
  return bytes_.subspan(start, std::min(record_bytes_, bytes_.size() - start));
}

}  // namespace demo

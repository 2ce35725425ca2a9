#include "checkpoint_fuzz.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <vector>

#include "checkpoint_format.hpp"
#include "choices.hpp"
#include "scratch.hpp"
#include "sluice/base/error.hpp"

namespace sluice::test {
namespace {

using std::chrono::nanoseconds;
using std::chrono::system_clock;

constexpr const char* kKey = "orders";
constexpr std::array<std::uint8_t, 16> kBoot{1, 2, 3};
constexpr std::size_t kSumBytes = 4;

/// Anywhere between zero and the largest.
nanoseconds time_of(Choices& choices) {
  const std::uint64_t bits = std::uint64_t{choices.word()} << 32U | choices.word();
  return nanoseconds(static_cast<std::int64_t>(bits >> 1U));
}

/// A right file, with some bytes of it changed.
std::vector<std::byte> changed_file(Choices& choices) {
  auto file = ipc::encode_checkpoint(kKey, {{.session = {1, 2, 3},
                                             .sequence = 7,
                                             .position = 112,
                                             .target = "snapshot 42",
                                             .time = system_clock::time_point(std::chrono::seconds(1))},
                                            kBoot,
                                            std::chrono::seconds(2),
                                            std::chrono::seconds(3)});
  while (!choices.empty()) {
    const std::size_t place = choices.byte() % file.size();
    file.at(place) ^= static_cast<std::byte>(choices.byte());
  }
  return file;
}

/// Makes the length and the checksum right, as somebody would who makes a file on purpose.
void mend(std::vector<std::byte>& file) {
  constexpr std::size_t kLengthAt = 12;
  if (file.size() < kLengthAt + 2 * kSumBytes) return;
  const auto length = static_cast<std::uint32_t>(file.size());
  std::memcpy(file.data() + kLengthAt, &length, sizeof length);
  std::uint32_t sum = ~0U;
  for (const std::byte byte : std::span(file).first(file.size() - kSumBytes)) {
    sum ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1U) ^ (0x82f63b78U & (0U - (sum & 1U)));
  }
  sum = ~sum;
  std::memcpy(file.data() + file.size() - kSumBytes, &sum, kSumBytes);
}

/// At the moment that the input says.
FileCheckpoints& checkpoints(const CheckpointMoment& moment) {
  static CheckpointMoment now;
  static FileCheckpoints instance(scratch(), {.clock = [] { return now; }});
  now = moment;
  return instance;
}

/// What was taken can be stored, and is the same then.
void store_again(FileCheckpoints& storage, const LoadedCheckpoint& loaded) {
  require(loaded.state != CheckpointState::missing && loaded.age >= nanoseconds::zero());
  storage.store(kKey, loaded.checkpoint);
  const LoadedCheckpoint again = storage.load(kKey);
  require(again.checkpoint == loaded.checkpoint && again.age >= nanoseconds::zero());
}

}  // namespace

bool fuzz_checkpoint(std::span<const std::byte> input) {
  Choices choices(input);
  const std::uint8_t mode = choices.byte();
  const CheckpointMoment now{
      system_clock::time_point(std::chrono::duration_cast<system_clock::duration>(time_of(choices))),
      time_of(choices), (mode & 4U) != 0 ? std::array<std::uint8_t, 16>{} : kBoot};
  std::vector<std::byte> file;
  if ((mode & 1U) != 0) {
    const auto bytes = choices.bytes(input.size());
    file.assign(bytes.begin(), bytes.end());
  } else {
    file = changed_file(choices);
  }
  if ((mode & 2U) == 0) mend(file);
  std::ofstream(scratch() / (std::string(kKey) + ".checkpoint"), std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  FileCheckpoints& storage = checkpoints(now);
  LoadedCheckpoint loaded;
  try {
    loaded = storage.load(kKey);
  } catch (const error&) {
    return false;
  }
  require(ipc::encode_checkpoint(kKey, ipc::decode_checkpoint(file, kKey, "the input")) == file);
  store_again(storage, loaded);
  return true;
}

}  // namespace sluice::test

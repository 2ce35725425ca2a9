#include "checkpoint_rules.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <ctime>
#include <string>
#include <utility>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/detail/names.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

using std::chrono::nanoseconds;
using std::chrono::system_clock;

// A UUID in text form. Where /proc isn't there, all zero: then reboots aren't told apart by it, but a reboot
// still shows in a `since_boot` that has become smaller.
std::array<std::uint8_t, 16> read_boot_id() {
  std::array<std::uint8_t, 16> id{};
  std::array<char, 36> buffer{};
  const Descriptor file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  if (!file || ::read(file.get(), buffer.data(), buffer.size()) != std::ssize(buffer)) return id;
  std::string digits(buffer.begin(), buffer.end());
  std::erase(digits, '-');
  for (std::size_t i = 0; i < id.size() && 2 * i + 2 <= digits.size(); ++i)
    std::from_chars(&digits[2 * i], &digits[2 * i] + 2, id[i], 16);
  return id;
}

}  // namespace

CheckpointMoment checkpoint_moment() {
  static const std::array<std::uint8_t, 16> boot = read_boot_id();
  timespec since_boot{};
  if (::clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0) throw_errno("clock_gettime(CLOCK_BOOTTIME)");
  return {system_clock::now(), std::chrono::seconds(since_boot.tv_sec) + nanoseconds(since_boot.tv_nsec),
          boot};
}

namespace ipc {

void check_checkpoint_options(const CheckpointOptions& options) {
  if (options.expiry <= nanoseconds::zero()) {
    throw error(errc::bad_option,
                "checkpoint expiry: expected more than 0 ns, got " + std::to_string(options.expiry.count()));
  }
  if (!options.clock) throw error(errc::bad_option, "checkpoint clock: expected a function, got none");
}

void check_checkpoint_key(std::string_view key) {
  base::check_name("checkpoint key", key);
}

void check_checkpoint(const StreamCheckpoint& checkpoint) {
  if (checkpoint.target.size() > kMaxTargetBytes) {
    throw error(errc::bad_option, "checkpoint target: expected at most " + std::to_string(kMaxTargetBytes) +
                                      " bytes, got " + std::to_string(checkpoint.target.size()));
  }
  if (checkpoint.time < system_clock::time_point{})
    throw error(errc::bad_option, "checkpoint time: expected 1970 or later, got a time before it");
}

nanoseconds wall_age(system_clock::time_point time, system_clock::time_point now) noexcept {
  return std::max(nanoseconds(now - time), nanoseconds::zero());
}

nanoseconds saturated_sum(nanoseconds a, nanoseconds b) noexcept {
  return a > nanoseconds::max() - b ? nanoseconds::max() : a + b;
}

LoadedCheckpoint judge_checkpoint(StreamCheckpoint checkpoint, nanoseconds age, nanoseconds expiry) {
  return {age < expiry ? CheckpointState::found : CheckpointState::expired, std::move(checkpoint), age};
}

}  // namespace ipc
}  // namespace sluice

#include "transfer.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "standard_streams.hpp"

namespace sluice::tools {
namespace {

constexpr std::uint64_t kSmallestRingBytes = 1ULL << 20U;
constexpr double kLongestTimeoutSeconds = 1e9;

}  // namespace

std::uint64_t ring_bytes_for_blocks_of(std::uint64_t block_bytes) {
  return std::max(kSmallestRingBytes, std::bit_ceil(4 * block_bytes));
}

void ChannelArguments::add_to(CLI::App& command, const std::string& peer) {
  command.add_option("NAME", name, "Name of the channel, or the path of its socket")->required();
  command
      .add_option("--timeout", timeout_seconds,
                  "How long to wait for the " + peer + " to come (default: for ever)")
      ->type_name("SECONDS")
      ->check(check_seconds);
}

std::chrono::nanoseconds ChannelArguments::timeout() const {
  if (!timeout_seconds) return std::chrono::nanoseconds::max();
  return nanoseconds_of(*timeout_seconds);
}

std::string check_seconds(const std::string& text) {
  double seconds = -1;
  const bool number = CLI::detail::lexical_cast(text, seconds);
  // Written so that "nan" fails it.
  if (number && seconds >= 0 && seconds <= kLongestTimeoutSeconds) return {};
  return fmt::format("expected 0 to {:.0f} seconds, got \"{}\"", kLongestTimeoutSeconds, text);
}

std::chrono::nanoseconds nanoseconds_of(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

void announce(const std::string& text) {
  if (::isatty(STDERR_FILENO) == 1) say("{}\n", text);
}

void throw_ended_early(const Port& port, Status status, const std::string& peer,
                       const std::string& progress) {
  switch (status) {
    case Status::closed:
      throw std::runtime_error(fmt::format("the {} gave up before the end ({})", peer, progress));
    case Status::peer_died:
      throw std::runtime_error(fmt::format("the {} died before the end ({})", peer, progress));
    case Status::broken:
      throw std::runtime_error(fmt::format("{} ({})", port.failure_text(), progress));
    default:
      throw std::runtime_error(fmt::format("the port failed: {} ({})", to_string(status), progress));
  }
}

}  // namespace sluice::tools

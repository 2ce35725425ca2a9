// What sluice send and sluice recv agree on: a stream of bytes as messages of one port.
//
// The receiver listens, the sender connects. A message of 1 byte or more is the next piece of the stream, of
// any length; an empty message is the end mark. The receiver releases a piece only when it has been written,
// and the end mark only when the whole output is complete: what the sender sees consumed is safe. A port that
// ends without the end mark carried an incomplete stream.
#pragma once

#include <CLI/App.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "sluice/ipc/port/port.hpp"

namespace sluice::tools {

inline constexpr std::uint64_t kDefaultBlockBytes = 64ULL << 10U;
inline constexpr std::uint64_t kMaxBlockBytes = 256ULL << 20U;

/// The size of a ring that holds at least four blocks: a power of two from 1 MiB, at most 1 GiB.
std::uint64_t ring_bytes_for_blocks_of(std::uint64_t block_bytes);

/// The NAME argument and the --timeout option, which both commands have.
struct ChannelArguments {
  std::string name;
  std::optional<double> timeout_seconds;

  void add_to(CLI::App& command, const std::string& peer);
  /// How long to wait for the peer; for ever by default.
  std::chrono::nanoseconds timeout() const;
};

/// Checks an option's text: 0 to a billion seconds. Empty, or what is wrong.
std::string check_seconds(const std::string& text);
std::chrono::nanoseconds nanoseconds_of(double seconds);

/// Says on a terminal what is going on; elsewhere nothing.
void announce(const std::string& text);

/// Throws the sentence for a port that ended before the stream did. `peer` is the other side's role,
/// `progress` how far this side came.
[[noreturn]] void throw_ended_early(const Port& port, Status status, const std::string& peer,
                                    const std::string& progress);

}  // namespace sluice::tools

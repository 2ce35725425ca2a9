// sluice send and recv as ends of a port stream: over shared memory (--stream), or over standard input and
// output (--stdio), where every message is preceded by its length as u32 little-endian.
#pragma once

#include <CLI/App.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "sluice/ipc/port/any_port.hpp"

namespace sluice::tools {

/// How a transfer goes: --stream and --stdio, which exclude each other.
struct StreamArguments {
  bool stream = false;
  bool stdio = false;

  bool chosen() const noexcept { return stream || stdio; }

  /// Adds the options; NAME is required no longer, see check().
  void add_to(CLI::App& command);
  /// Throws CLI::ParseError if NAME is missing, or is given where standard input and output are the channel.
  void check(const std::string& name) const;
};

/// A port over this process's standard input and output.
AnyPort stdio_port();

/// Sends a descriptor's bytes to their end as one stream of blocks of `block_bytes`, and waits until the
/// receiver has stored it: sluice recv says so with an empty stream that comes back, or with an ERROR that
/// says why not. Over standard input and output the other side may be an endpoint that confirms nothing:
/// there its end, or silence for half a minute, is enough once it has acknowledged every block. Throws
/// StreamError, std::runtime_error, or the input's error.
void send_stream(AnyPort port, int input, const StreamArguments& how, std::uint64_t block_bytes,
                 std::optional<std::uint64_t> size);

/// Receives one stream; a block is acknowledged when `write` returns. At the stream's end calls `commit`, and
/// tells the sender how that went. Throws StreamError, or what `write` and `commit` throw.
void receive_stream(AnyPort port, const std::function<void(std::span<const std::byte>)>& write,
                    const std::function<void()>& commit);

}  // namespace sluice::tools

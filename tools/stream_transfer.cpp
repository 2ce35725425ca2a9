#include "stream_transfer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <utility>

#include "progress_bar.hpp"
#include "sluice/ipc/native_port.hpp"
#include "sluice/ipc/port_stream.hpp"
#include "sluice/ring/error.hpp"
#include "transfer.hpp"

namespace sluice::tools {
namespace {

Descriptor copy_of(int fd, const char* what) {
  Descriptor copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) throw_errno(what);
  return copy;
}

}  // namespace

void StreamArguments::add_to(CLI::App& command) {
  auto* over_memory =
      command.add_flag("--stream", stream,
                       "As a port stream: acknowledged block by block, with the reason where it ends early");
  command
      .add_flag(
          "--stdio", stdio,
          "As a port stream over standard input and output instead of NAME, to any endpoint that speaks it")
      ->excludes(over_memory);
  command.get_option("NAME")->required(false);
}

void StreamArguments::check(const std::string& name) const {
  if (!stdio && name.empty()) throw CLI::RequiredError("NAME");
  if (stdio && !name.empty()) throw CLI::ExcludesError("--stdio", "NAME");
}

MessagePort stdio_port() {
  NativePortOptions options;
  options.max_message_bytes = kMaxBlockBytes + 64;  // the frame's header included
  return MessagePort(wrap_native_port(copy_of(STDIN_FILENO, "standard input"),
                                      copy_of(STDOUT_FILENO, "standard output"), options));
}

void send_stream(MessagePort port, int input, std::uint64_t block_bytes, std::optional<std::uint64_t> size) {
  ProgressBar bar(size);
  const StreamTotals totals = send_port_stream(
      std::move(port), read_blocks(input, block_bytes), {.chunk_size = block_bytes},
      {.on_progress = [&](const SendProgress& progress) { bar.show(progress.bytes_acknowledged); }});
  bar.finish(totals.bytes);
}

void receive_stream(MessagePort port, const std::function<void(std::span<const std::byte>)>& write) {
  ProgressBar bar(std::nullopt);
  std::uint64_t written = 0;
  receive_port_stream(std::move(port), [&](std::span<const std::byte> block) {
    write(block);
    written += block.size();
    bar.show(written);
  });
  bar.finish(written);
}

}  // namespace sluice::tools

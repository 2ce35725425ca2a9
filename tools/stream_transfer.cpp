#include "stream_transfer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "progress_bar.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/port/native_port.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
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

AnyPort stdio_port() {
  NativePortOptions options;
  options.max_message_bytes = kMaxBlockBytes + 64;  // the frame's header included
  return AnyPort(wrap_native_port(copy_of(STDIN_FILENO, "standard input"),
                                  copy_of(STDOUT_FILENO, "standard output"), options));
}

namespace {

/// How long an endpoint that isn't known to confirm anything may keep silent.
constexpr auto kConfirmation = std::chrono::seconds(30);

void await_confirmation(PortStream& stream, const StreamArguments& how) {
  try {
    stream.receive([](std::span<const std::byte> /*block*/) {});
  } catch (const StreamError& failure) {
    if (failure.code() == stream_errc::sender_failed)
      throw std::runtime_error("the receiver got everything and could not store it: " + failure.reason());
    const bool confirms_nothing =
        failure.code() == stream_errc::closed || failure.code() == stream_errc::timed_out;
    if (how.stdio && confirms_nothing) return;
    throw std::runtime_error("the receiver got everything and ended before it was stored: " +
                             std::string(failure.what()));
  }
}

/// A sender that waits for no confirmation has gone already.
void confirm(PortStream& stream, const std::exception_ptr& failure) noexcept {
  try {
    stream.send(BlockSource([&]() -> std::optional<std::span<const std::byte>> {
      if (failure) std::rethrow_exception(failure);
      return std::nullopt;
    }));
  } catch (...) {  // our own failure again, or nobody to tell
  }
}

}  // namespace

void send_stream(AnyPort port, int input, const StreamArguments& how, std::uint64_t block_bytes,
                 std::optional<std::uint64_t> size) {
  ProgressBar bar(size);
  PortStreamOptions options{.chunk_bytes = block_bytes};
  if (how.stdio) options.idle_timeout = kConfirmation;
  auto stream = create_port_stream(std::move(port), options);
  const StreamTotals totals = stream.send(
      read_blocks(input, block_bytes),
      {.on_progress = [&](const SendProgress& progress) { bar.show(progress.bytes_acknowledged); }});
  await_confirmation(stream, how);
  bar.finish(totals.bytes);
}

void receive_stream(AnyPort port, const std::function<void(std::span<const std::byte>)>& write,
                    const std::function<void()>& commit) {
  ProgressBar bar(std::nullopt);
  std::uint64_t written = 0;
  auto stream = create_port_stream(std::move(port));
  stream.receive([&](std::span<const std::byte> block) {
    write(block);
    written += block.size();
    bar.show(written);
  });
  try {
    commit();
  } catch (...) {
    confirm(stream, std::current_exception());
    throw;
  }
  confirm(stream, nullptr);
  bar.finish(written);
}

}  // namespace sluice::tools

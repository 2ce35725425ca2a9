// A transfer as a port stream: over shared memory (--stream), or over standard input and output (--stdio),
// where every message is preceded by its length as u32 little-endian.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "progress.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"
#include "sluice/ipc/port/native_port.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "transfer.hpp"

namespace sluice::tools {
namespace {

/// How long an endpoint that isn't known to confirm anything may keep silent.
constexpr auto kConfirmation = std::chrono::seconds(30);

Descriptor copy_of(int fd, const char* what) {
  Descriptor copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) throw_errno(what);
  return copy;
}

void await_confirmation(PortStream& stream, bool over_stdio) {
  try {
    stream.receive([](std::span<const std::byte> /*block*/) {});
  } catch (const StreamError& failure) {
    if (failure.code() == stream_errc::sender_failed) {
      throw std::runtime_error("the receiver got everything and could not store it: " +
                               base::quoted_text(failure.reason()));
    }
    const bool confirms_nothing =
        failure.code() == stream_errc::closed || failure.code() == stream_errc::timed_out;
    if (over_stdio && confirms_nothing) return;
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

AnyPort stdio_port() {
  NativePortOptions options;
  options.max_message_bytes = kMaxBlockBytes + 64;  // the frame's header included
  return AnyPort(wrap_native_port(copy_of(STDIN_FILENO, "standard input"),
                                  copy_of(STDOUT_FILENO, "standard output"), options));
}

void send_stream(AnyPort port, const Input& input, bool over_stdio, std::uint64_t block_bytes) {
  Progress progress(input.size());
  PortStreamOptions options{.chunk_bytes = block_bytes};
  if (over_stdio) options.idle_timeout = kConfirmation;
  auto stream = create_port_stream(std::move(port), options);
  const StreamTotals totals =
      stream.send(read_blocks(input.fd(), block_bytes),
                  {.on_progress = [&](const SendProgress& sent) { progress.show(sent.bytes_acknowledged); }});
  await_confirmation(stream, over_stdio);
  progress.finish(totals.bytes);
}

void receive_stream(AnyPort port, Output& output) {
  Progress progress;
  std::uint64_t written = 0;
  auto stream = create_port_stream(std::move(port));
  stream.receive([&](std::span<const std::byte> block) {
    output.write(block);
    written += block.size();
    progress.show(written);
  });
  try {
    output.commit();
  } catch (...) {
    confirm(stream, std::current_exception());
    throw;
  }
  confirm(stream, nullptr);
  progress.finish(written);
}

}  // namespace sluice::tools

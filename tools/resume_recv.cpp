// The receiving side of a transfer that can be resumed.
#include <fmt/core.h>

#include <optional>
#include <stdexcept>

#include "part_file.hpp"
#include "progress.hpp"
#include "transfer.hpp"
#include "transfer_messages.hpp"

namespace sluice::tools {
namespace {

/// One message is sent back, and stays in the ring's window.
constexpr std::uint64_t kOwnRingBytes = 64ULL << 10U;

class ResumableReceiver {
 public:
  ResumableReceiver(Port& port, PartFile& part, const TransferArguments& arguments)
      : port_(port), part_(part), arguments_(arguments) {}

  void run() {
    bool complete = false;
    while (!complete) {
      // Released by its destructor: not before it has been handled.
      Message message = port_.receive();
      if (!message) {
        part_.discard();
        throw_ended_early(port_, message.status(), arguments_, "sender",
                          fmt::format("{} bytes received", written_.value_or(0)));
      }
      try {
        complete = handle(message);
      } catch (...) {
        never_destroy(std::move(message));
        throw;
      }
    }
    let_sender_know();
  }

 private:
  /// Whether that was the end.
  bool handle(const Message& message) {
    if (message.sequence() == kManifestMessage) {
      begin(message.bytes());
    } else if (const auto offset = decode_block_offset(message.bytes())) {
      write(*offset, message.bytes().subspan(kBlockHeaderBytes));
    } else {
      end(decode_end(message.bytes()));
      return true;
    }
    return false;
  }

  void begin(std::span<const std::byte> message) {
    const Manifest manifest = decode_manifest(message);
    part_.start_anew();
    written_ = 0;
    progress_.begin(0, manifest.file_bytes);
    if (port_.next_sequence() != kManifestMessage) return;  // our predecessor has answered
    const Status status = port_.post_message(bytes_of(manifest));
    if (status != Status::ok) throw_ended_early(port_, status, arguments_, "sender", "nothing received");
  }

  void write(std::uint64_t offset, std::span<const std::byte> content) {
    if (!written_) find_predecessors_part(offset);
    if (offset != *written_)
      throw std::runtime_error(fmt::format("expected the bytes at {}, got those at {}", *written_, offset));
    part_.write(offset, content);
    written_ = offset + content.size();
    progress_.show(*written_);
  }

  /// What comes first in this process must go on behind what is there.
  void find_predecessors_part(std::uint64_t offset) {
    const std::uint64_t bytes = part_.is_open() || part_.reopen() ? part_.size() : 0;
    if (!part_.is_open() || bytes < offset) {
      throw std::runtime_error(
          fmt::format("{} has {} bytes, but {} were received before: is --output the same?",
                      part_.part_name(), bytes, offset));
    }
    written_ = offset;
    progress_.begin(offset, std::nullopt);
  }

  void end(const TransferEnd& end) {
    const std::uint64_t bytes = end.file_bytes;
    if (!written_) {
      // Our predecessor may have ended between giving the file its name and saying so.
      if (!part_.reopen() && part_.is_complete(bytes, end.digest)) return;
      find_predecessors_part(bytes);
    }
    if (*written_ != bytes)
      throw std::runtime_error(fmt::format("expected the end at {}, got it at {}", bytes, *written_));
    part_.truncate(bytes);
    if (part_.digest() != end.digest) {
      part_.discard();
      port_.close();
      throw std::runtime_error(part_.part_name() +
                               ": what was received doesn't have the SHA-256 of what was sent");
    }
    part_.commit();
    progress_.finish(bytes);
  }

  /// The end is released. A sender that is killed before it notices comes back to hear of it.
  void let_sender_know() {
    while (port_.receive()) {
    }
  }

  Port& port_;
  PartFile& part_;
  const TransferArguments& arguments_;
  Progress progress_;
  std::optional<std::uint64_t> written_;  // up to here the file has come; nothing: in a process before
};

}  // namespace

void receive_resumably(const TransferArguments& arguments) {
  if (arguments.file == "-")
    throw std::runtime_error("--resume needs --output FILE: standard output can't be written a second time");
  PartFile part(arguments.file);
  SessionOptions options = session_options(arguments, "sender");
  options.port.ring_bytes = kOwnRingBytes;
  run_resumably(host_session(arguments.name, options),
                [&](Port& port) { ResumableReceiver(port, part, arguments).run(); });
}

}  // namespace sluice::tools

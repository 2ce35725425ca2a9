// The sending side of a transfer that can be resumed.
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "console.hpp"
#include "input.hpp"
#include "progress.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "transfer.hpp"
#include "transfer_messages.hpp"

namespace sluice::tools {
namespace {

/// A file as it is now; it must not change while it is sent.
Manifest manifest_of(const Input& file, std::uint64_t block_bytes) {
  const struct stat info = file.status();
  Manifest manifest;
  manifest.block_bytes = block_bytes;
  manifest.file_bytes = static_cast<std::uint64_t>(info.st_size);
  manifest.changed_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  return manifest;
}

class ResumableSender {
 public:
  ResumableSender(Port& port, const Input& file, const Manifest& manifest, const TransferArguments& arguments)
      : port_(port),
        file_(file),
        manifest_(manifest),
        arguments_(arguments),
        progress_(manifest.file_bytes) {}

  void run() {
    const std::uint64_t next = port_.next_sequence();
    if (next == kManifestMessage) {
      must_be_ok(port_.post_message(bytes_of(manifest_)));
    } else {
      check_receivers_manifest();
    }
    if (next <= manifest_.end_message()) send_from(std::max(next, kFirstBlockMessage));
    must_be_ok(port_.wait_until_consumed());
    progress_.finish(manifest_.file_bytes);
  }

 private:
  /// The transfer that the process before began must be this one.
  void check_receivers_manifest() {
    // Our predecessor may have had it or not.
    const Status back = port_.replay_from(kManifestMessage);
    if (back != Status::would_block) must_be_ok(back);
    const Message message = port_.receive();
    must_be_ok(message.status());
    const Manifest begun = decode_manifest(message.bytes());
    if (begun.block_bytes != manifest_.block_bytes) {
      throw std::runtime_error(fmt::format("the transfer was begun with --block {}, not {}",
                                           begun.block_bytes, manifest_.block_bytes));
    }
    if (begun != manifest_) {
      throw std::runtime_error(fmt::format(
          "{} is not the file that the transfer was begun with: expected {} bytes, changed at {} ns, got {} "
          "bytes, changed at {} ns; end the receiver too to begin anew",
          file_.name(), begun.file_bytes, begun.changed_ns, manifest_.file_bytes, manifest_.changed_ns));
    }
  }

  /// Reads all of the file, for the digest, and posts what begins with message `next`.
  void send_from(std::uint64_t next) {
    if (next > kFirstBlockMessage) {
      note(fmt::format("going on at byte {} of {}", offset_of(next), manifest_.file_bytes));
      progress_.begin(offset_of(next), manifest_.file_bytes);
    }
    for (std::uint64_t number = kFirstBlockMessage; number < manifest_.end_message(); ++number) {
      if (number < next) {
        pass_over_block(number);
      } else {
        post_block(number);
      }
    }
    if (manifest_of(file_, manifest_.block_bytes) != manifest_) give_up();
    TransferEnd end;
    end.file_bytes = manifest_.file_bytes;
    end.digest = sha256_.finish();
    must_be_ok(port_.post_message(bytes_of(end)));
  }

  void pass_over_block(std::uint64_t number) {
    passed_over_.resize(size_of(number));
    read(number, passed_over_);
    sha256_.update(passed_over_);
  }

  void post_block(std::uint64_t number) {
    Claim claim = port_.claim(kBlockHeaderBytes + size_of(number));
    must_be_ok(claim.status());
    const std::uint64_t offset = offset_of(number);
    std::memcpy(claim.bytes().data(), &offset, sizeof offset);
    const auto content = claim.bytes().subspan(kBlockHeaderBytes);
    read(number, content);
    sha256_.update(content);
    must_be_ok(claim.commit());
    posted_ = offset + content.size();
    progress_.show(posted_);
  }

  void read(std::uint64_t number, std::span<std::byte> block) {
    if (base::read_all_at(file_.fd(), block, offset_of(number), file_.name()) != block.size()) give_up();
  }
  std::uint64_t offset_of(std::uint64_t number) const {
    return std::min((number - kFirstBlockMessage) * manifest_.block_bytes, manifest_.file_bytes);
  }
  std::size_t size_of(std::uint64_t number) const {
    return std::min(manifest_.block_bytes, manifest_.file_bytes - offset_of(number));
  }

  [[noreturn]] void give_up() {
    port_.close();
    throw std::runtime_error(file_.name() + " was changed while it was sent");
  }
  void must_be_ok(Status status) const {
    if (status != Status::ok)
      throw_ended_early(port_, status, arguments_, "receiver", fmt::format("{} bytes sent", posted_));
  }

  Port& port_;
  const Input& file_;
  const Manifest manifest_;
  const TransferArguments& arguments_;
  Progress progress_;
  Sha256 sha256_;
  std::vector<std::byte> passed_over_;
  std::uint64_t posted_ = 0;
};

}  // namespace

void send_resumably(const TransferArguments& arguments, std::uint64_t block_bytes) {
  if (arguments.file == "-")
    throw std::runtime_error("--resume needs a FILE: standard input can't be read a second time");
  const Input file(arguments.file, Input::Kind::regular_file);
  const Manifest manifest = manifest_of(file, block_bytes);
  SessionOptions options = session_options(arguments, "receiver");
  options.port.ring_bytes = ring_bytes_for_blocks_of(block_bytes + kBlockHeaderBytes);
  options.port.replay_window_bytes = 0;
  run_resumably(join_session(arguments.name, options),
                [&](Port& port) { ResumableSender(port, file, manifest, arguments).run(); });
}

}  // namespace sluice::tools

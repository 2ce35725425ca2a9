// The sending side of a transfer that can be resumed.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "file_io.hpp"
#include "progress_bar.hpp"
#include "resume_messages.hpp"
#include "resume_transfer.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"

namespace sluice::tools {
namespace {

/// A regular file that must not change while it is sent.
class FixedFile {
 public:
  explicit FixedFile(const std::string& path) : what_(path) {
    if (path == "-")
      throw std::runtime_error("--resume needs a FILE: standard input can't be read a second time");
    file_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!file_) throw_errno("opening " + what_);
    const struct stat info = look();
    if (S_ISDIR(info.st_mode)) throw_errno(EISDIR, "reading " + what_);
    if (!S_ISREG(info.st_mode))
      throw std::runtime_error(what_ + ": --resume needs a regular file, which can be read a second time");
  }

  Manifest manifest(std::uint64_t block_bytes) const {
    const struct stat info = look();
    return {block_bytes, static_cast<std::uint64_t>(info.st_size),
            info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
  }
  /// False if the file has become shorter.
  bool read(std::uint64_t offset, std::span<std::byte> room) const {
    return read_at(file_.get(), room, offset, what_) == room.size();
  }
  const std::string& name() const { return what_; }

 private:
  struct stat look() const {
    struct stat info {};
    if (::fstat(file_.get(), &info) != 0) throw_errno("reading " + what_);
    return info;
  }

  std::string what_;
  Descriptor file_;
};

class ResumableSender {
 public:
  ResumableSender(Port& port, const FixedFile& file, const Manifest& manifest, const ResumeArguments& resume)
      : port_(port), file_(file), manifest_(manifest), resume_(resume), bar_(manifest.file_bytes) {}

  void run() {
    const std::uint64_t next = port_.next_sequence();
    if (next == kManifestMessage) {
      must_be_ok(port_.post_message(bytes_of(encode(manifest_))));
    } else {
      check_receivers_manifest();
    }
    if (next <= manifest_.end_message()) send_from(std::max(next, kFirstBlockMessage));
    must_be_ok(port_.wait_until_consumed());
    bar_.finish(manifest_.file_bytes);
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
    if (next > kFirstBlockMessage)
      tell(fmt::format("going on at byte {} of {}", offset_of(next), manifest_.file_bytes));
    for (std::uint64_t number = kFirstBlockMessage; number < manifest_.end_message(); ++number) {
      if (number < next) {
        pass_over_block(number);
      } else {
        post_block(number);
      }
    }
    if (file_.manifest(manifest_.block_bytes) != manifest_) give_up();
    must_be_ok(port_.post_message(bytes_of(encode(TransferEnd{manifest_, sha256_.finish()}))));
  }

  void pass_over_block(std::uint64_t number) {
    passed_over_.resize(size_of(number));
    if (!file_.read(offset_of(number), passed_over_)) give_up();
    sha256_.update(passed_over_);
  }

  void post_block(std::uint64_t number) {
    Claim claim = port_.claim(kBlockHeaderBytes + size_of(number));
    must_be_ok(claim.status());
    encode_block_offset(offset_of(number), claim.bytes());
    const auto content = claim.bytes().subspan(kBlockHeaderBytes);
    if (!file_.read(offset_of(number), content)) give_up();
    sha256_.update(content);
    must_be_ok(claim.commit());
    posted_ = offset_of(number) + content.size();
    bar_.show(posted_);
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
      throw_session_ended(port_, status, resume_, "receiver", fmt::format("{} bytes sent", posted_));
  }

  Port& port_;
  const FixedFile& file_;
  const Manifest manifest_;
  const ResumeArguments& resume_;
  ProgressBar bar_;
  Sha256 sha256_;
  std::vector<std::byte> passed_over_;
  std::uint64_t posted_ = 0;
};

}  // namespace

void send_resumable(const ChannelArguments& channel, const ResumeArguments& resume, const std::string& path,
                    std::uint64_t block_bytes) {
  const FixedFile file(path);
  const Manifest manifest = file.manifest(block_bytes);
  SessionOptions options = session_options(channel, resume, "receiver");
  options.port.ring_bytes = ring_bytes_for_blocks_of(block_bytes + kBlockHeaderBytes);
  options.port.replay_window_bytes = 0;
  announce(fmt::format("waiting for a receiver at \"{}\"", channel.name));
  run_resumably(join_session(channel.name, options),
                [&](Port& port) { ResumableSender(port, file, manifest, resume).run(); });
}

}  // namespace sluice::tools

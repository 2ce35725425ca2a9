#include "sluice/ipc/stream/port_stream.hpp"

#include <string>

#include "sluice/base/detail/file_io.hpp"
#include "sluice/ipc/port/port_pair.hpp"
#include "stream_ends.hpp"

namespace sluice {
namespace {

/// In a forked child they stay as they are: to destroy a lock that a thread of the parent waits for would
/// never end, and the port's peer is the parent's.
std::shared_ptr<ipc::StreamEnds> make_ends(AnyPort port, const PortStreamOptions& options) {
  return {new ipc::StreamEnds(std::move(port), options), [](ipc::StreamEnds* ends) {
            if (!ends->reader.forked()) delete ends;
          }};
}

ipc::StreamEnds& used(const std::shared_ptr<ipc::StreamEnds>& ends) {
  if (!ends) throw error(errc::misuse, "port stream: it was moved away");
  return *ends;
}

}  // namespace

ReceivedBlocks::ReceivedBlocks(std::shared_ptr<ipc::StreamEnds> ends, ReceiveOptions options)
    : ends_(std::move(ends)), stop_(std::move(options.stop)) {
  used(ends_).receiver.begin();
}

ReceivedBlocks::ReceivedBlocks(ReceivedBlocks&& other) noexcept = default;

ReceivedBlocks::~ReceivedBlocks() {
  if (!ends_) return;
  const bool consumer_failed = std::uncaught_exceptions() > exceptions_;
  ends_->receiver.end(!consumer_failed, consumer_failed ? "the consumer failed" : ipc::kReceiverClosed);
}

void ReceivedBlocks::iterator::advance() {
  if (!used(blocks_->ends_).receiver.next_block(block_, blocks_->stop_)) blocks_ = nullptr;
}

PortStream::PortStream(AnyPort port, const PortStreamOptions& options)
    : ends_(make_ends(std::move(port), options)) {}
PortStream::PortStream(PortStream&&) noexcept = default;
PortStream& PortStream::operator=(PortStream&&) noexcept = default;
PortStream::~PortStream() = default;

ipc::StreamEnds& PortStream::ends() const {
  return used(ends_);
}

std::shared_ptr<ipc::StreamEnds> PortStream::begin_send(const SendOptions& options) {
  ends().sender.begin(options);
  return ends_;
}
void PortStream::write(std::span<const std::byte> piece) {
  ends().sender.write(piece);
}
StreamTotals PortStream::finish_send() {
  return ends().sender.finish();
}
void PortStream::fail_send(ipc::StreamEnds& ends) noexcept {
  ends.sender.fail(std::current_exception());
}

StreamTotals PortStream::send(const BlockSource& source, const SendOptions& options) {
  return send_all(options, [&] {
    while (const auto piece = source()) write(*piece);
  });
}

StreamTotals PortStream::send(std::istream& input, const SendOptions& options) {
  return send(read_blocks(input), options);
}

StreamTotals PortStream::send_from(int fd, const SendOptions& options) {
  const auto read = [this, fd, blocks = read_blocks(fd)] {
    wait_for_input(fd);
    return blocks();
  };
  return send(BlockSource(read), options);
}

void PortStream::wait_for_input(int fd) {
  ends().sender.wait_for_input(fd);
}

ReceivedBlocks PortStream::receive(ReceiveOptions options) {
  return {ends_, std::move(options)};
}

StreamTotals PortStream::receive(const BlockConsumer& consumer, const ReceiveOptions& options) {
  const std::shared_ptr<ipc::StreamEnds> kept = ends_;  // the consumer may move this
  ipc::StreamReceiver& receiver = ends().receiver;
  receiver.begin();
  std::string reason{ipc::kReceiverClosed};
  try {
    for (std::span<const std::byte> block; receiver.next_block(block, options.stop);) {
      try {
        consumer(block);
      } catch (const std::exception& failure) {
        reason = words_of(failure);
        throw;
      }
    }
  } catch (...) {
    receiver.end(false, reason);
    throw;
  }
  receiver.end(true, reason);
  return receiver.totals();
}

StreamTotals PortStream::receive_into(int fd, const ReceiveOptions& options) {
  const std::string name = "descriptor " + std::to_string(fd);
  return receive([&](std::span<const std::byte> block) { base::write_all(fd, block, name); }, options);
}

SendProgress PortStream::send_progress() const {
  return ends_ ? ends_->sender.progress() : SendProgress();
}

StreamTotals PortStream::receive_progress() const {
  return ends_ ? ends_->receiver.totals() : StreamTotals();
}

void PortStream::close() {
  if (ends_) ends_->close();
}

std::pair<PortStream, PortStream> create_port_stream_pair(const PortStreamOptions& first,
                                                          const PortStreamOptions& second) {
  auto [a, b] = make_port_pair();
  return {create_port_stream(std::move(a), first), create_port_stream(std::move(b), second)};
}

}  // namespace sluice

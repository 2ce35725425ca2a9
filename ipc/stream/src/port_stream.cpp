#include "sluice/ipc/stream/port_stream.hpp"

#include <string>

#include "sluice/base/detail/file_io.hpp"
#include "sluice/ipc/port/port_pair.hpp"
#include "stream_core.hpp"

namespace sluice {
namespace {

constexpr std::string_view kConsumerFailed = "the consumer failed";

}  // namespace

ReceivedBlocks::ReceivedBlocks(std::shared_ptr<ipc::StreamCore> core, ReceiveOptions options)
    : core_(std::move(core)), stop_(std::move(options.stop)) {
  core_->begin_receive();
}

ReceivedBlocks::ReceivedBlocks(ReceivedBlocks&& other) noexcept = default;

ReceivedBlocks::~ReceivedBlocks() {
  if (!core_) return;
  const bool consumer_failed = std::uncaught_exceptions() > exceptions_;
  core_->end_receive(!consumer_failed, consumer_failed ? kConsumerFailed : ipc::kReceiverClosed);
}

void ReceivedBlocks::iterator::advance() {
  if (!blocks_->core_->next_block(block_, blocks_->stop_)) blocks_ = nullptr;
}

PortStream::PortStream(AnyPort port, const PortStreamOptions& options)
    : core_(std::make_shared<ipc::StreamCore>(std::move(port), options)) {}
PortStream::PortStream(PortStream&&) noexcept = default;
PortStream& PortStream::operator=(PortStream&&) noexcept = default;
PortStream::~PortStream() = default;

StreamTotals PortStream::send(const BlockSource& source, const SendOptions& options) {
  return core_->send(source, options);
}

StreamTotals PortStream::send(std::istream& input, const SendOptions& options) {
  return send(read_blocks(input), options);
}

StreamTotals PortStream::send_from(int fd, const SendOptions& options) {
  return send(read_blocks(fd, kReadBytes, options.stop), options);
}

ReceivedBlocks PortStream::receive(ReceiveOptions options) {
  return {core_, std::move(options)};
}

StreamTotals PortStream::receive(const BlockConsumer& consumer, const ReceiveOptions& options) {
  core_->begin_receive();
  std::string reason{ipc::kReceiverClosed};
  try {
    for (std::span<const std::byte> block; core_->next_block(block, options.stop);) {
      try {
        consumer(block);
      } catch (const std::exception& failure) {
        reason = failure.what();
        throw;
      }
    }
  } catch (...) {
    core_->end_receive(false, reason);
    throw;
  }
  core_->end_receive(true, reason);
  return core_->receive_progress();
}

StreamTotals PortStream::receive_into(int fd, const ReceiveOptions& options) {
  const std::string name = "descriptor " + std::to_string(fd);
  return receive([&](std::span<const std::byte> block) { base::write_all(fd, block, name); }, options);
}

SendProgress PortStream::send_progress() const {
  return core_->send_progress();
}

StreamTotals PortStream::receive_progress() const {
  return core_->receive_progress();
}

void PortStream::close() {
  core_->close();
}

namespace ipc {

PortStreamOptions one_way(PortStreamOptions options) {
  options.use = StreamUse::one_way;
  return options;
}

}  // namespace ipc

std::pair<PortStream, PortStream> create_port_stream_pair(const PortStreamOptions& first,
                                                          const PortStreamOptions& second) {
  auto [a, b] = make_port_pair();
  return {create_port_stream(std::move(a), first), create_port_stream(std::move(b), second)};
}

}  // namespace sluice

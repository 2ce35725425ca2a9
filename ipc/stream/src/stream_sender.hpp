// The sending direction of a port stream: cuts blocks, posts them as far as the receiver's window allows, and
// waits for the answers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sluice/ipc/stream/send_state.hpp"
#include "stream_reader.hpp"

namespace sluice::ipc {

/// Threads: one sends; progress() from any.
class StreamSender {
 public:
  StreamSender(StreamReader& reader, BlockId first_id) : reader_(reader), state_(first_id) {}
  StreamSender(const StreamSender&) = delete;
  StreamSender& operator=(const StreamSender&) = delete;

  // One stream: begin, write for each piece, finish; or, once it has begun, fail instead.

  /// `options` must stay until the end.
  void begin(const SendOptions& options);
  void write(std::span<const std::byte> piece) {
    if (reader_.options().chunk_bytes == 0) return send_block(piece);
    cut(piece);
  }
  /// Between two writes; see PortStream.
  void wait_for_input(int fd);
  /// Returns when every block was consumed, and END posted.
  StreamTotals finish();
  /// Tells the receiver, and gives it a moment to answer what is under way, so that no late answer meets the
  /// next stream.
  void fail(const std::exception_ptr& failure) noexcept;

  SendProgress progress() const noexcept;

 private:
  using Lock = StreamReader::Lock;

  void send_block(std::span<const std::byte> block);
  void cut(std::span<const std::byte> piece);
  bool time_to_look(std::size_t block_bytes) noexcept;
  void look();
  bool may_send(std::uint64_t bytes) const noexcept {
    const std::uint64_t in_flight = state_.bytes_in_flight();
    return state_.may_send(bytes) && (in_flight == 0 || in_flight + bytes <= most_in_flight_);
  }
  void wait_to_send(std::size_t bytes);
  void wait_for_answers(Lock& lock, bool whatever_they_say);
  Status post_slowly(const FrameHead& head, std::span<const std::byte> body);
  void absorb();
  void use(BlockId id, const Answer& answer, const std::string& reason);
  Deadline ack_deadline();
  void publish_progress() noexcept;
  void leave(Lock& lock) noexcept;
  [[noreturn]] void fail_post(Status status, std::size_t bytes);
  void throw_if_over() const;
  void throw_wake(Wake wake) const;
  bool cancelled() const { return reader_.closing() || options_->stop.stop_requested(); }
  std::string sent_so_far() const;

  static constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max() / 2;

  StreamReader& reader_;
  const SendOptions* options_ = nullptr;  // while a stream is sent
  SendState state_;
  std::vector<std::byte> partial_;  // a block that spans pieces
  std::optional<StreamFailure> failure_;
  std::optional<StreamFailure> port_failure_;  // once the port has ended
  unsigned skip_looks_ = 0;                    // so many blocks may go before answers are looked for again
  // Half of what filled the port while the other direction was in use: answers need room there, too.
  std::uint64_t most_in_flight_ = kNoLimit;
  // When the wait for the next answer began; nothing while none is waited for. Answers reset it, so that the
  // clock is read only where there's time for it.
  std::optional<Deadline> waiting_since_;

  // For progress(): copies of what state_ counts. Relaxed: they publish nothing but themselves.
  std::atomic<std::uint64_t> blocks_sent_{0};
  std::atomic<std::uint64_t> bytes_sent_{0};
  std::atomic<std::uint64_t> bytes_acknowledged_{0};
  std::atomic<std::uint64_t> bytes_in_flight_{0};
};

}  // namespace sluice::ipc

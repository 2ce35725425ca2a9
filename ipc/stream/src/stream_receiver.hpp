// The receiving direction of a port stream: hands blocks to the consumer and answers them.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "stream_reader.hpp"

namespace sluice::ipc {

/// Threads: one receives; totals() from any.
class StreamReceiver {
 public:
  explicit StreamReceiver(StreamReader& reader) : reader_(reader) {}
  StreamReceiver(const StreamReceiver&) = delete;
  StreamReceiver& operator=(const StreamReceiver&) = delete;

  // One stream: begin, next_block until it returns false or throws, end in any case.

  void begin();
  /// Acknowledges the block given before as handled, and waits for the next; false at the stream's end.
  bool next_block(std::span<const std::byte>& block, const std::stop_token& stop);
  /// Ends the receive. If the stream isn't over it is refused: the block given last is answered as
  /// `block_handled` says, and later ones with `reason`.
  void end(bool block_handled, std::string_view reason) noexcept;

  StreamTotals totals() const noexcept;

  /// What arrived and nobody received: its sender is told. By any thread, while nobody receives.
  void refuse_leftovers();

 private:
  using Lock = StreamReader::Lock;

  void finish_block(Lock& lock, const std::stop_token& stop);
  void answer_block(Lock& lock, std::uint64_t bytes, const std::stop_token& stop);
  // Not inlined, so that next_block pays for neither.
  [[gnu::noinline]] void answer(Lock& lock, BlockId id, const std::stop_token& stop);
  [[noreturn, gnu::noinline]] void stopped();
  void wait_for_item(Lock& lock, const std::stop_token& stop);
  bool end_of_stream(Lock& lock, Arrivals::Kind kind, std::span<const std::byte> why);
  void refuse_stream(Lock& lock, bool block_handled, std::string_view reason);
  void linger(Lock& lock, Deadline deadline);
  [[noreturn]] void fail_wait(Lock& lock, Wake wake);
  std::string received_so_far() const;

  StreamReader& reader_;
  bool receiving_ = false;
  bool over_ = true;  // the stream being received has ended
  // Written by the receiving thread; relaxed: they publish nothing but themselves.
  std::atomic<std::uint64_t> blocks_{0};
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace sluice::ipc

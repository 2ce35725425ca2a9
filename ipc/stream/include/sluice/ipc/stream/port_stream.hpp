// Whole streams with backpressure over any message port.
//
//   sluice::Port port = sluice::connect("orders");      sluice::Port port = listener.accept();
//   sluice::send_port_stream(port, file_blocks);        for (auto block : sluice::receive_port_stream(port))
//                                                         use(block);
//
// or, with streams in both directions at the same time, and any number one after another:
//
//   auto stream = sluice::create_port_stream(port, {.window_bytes = 4U << 20U});
//   std::thread sender([&] { stream.send(blocks); });
//   for (std::span<const std::byte> block : stream.receive()) use(block);
//
// A block is acknowledged when the loop comes back for the next one: the sender is never further ahead than
// the receiver's window. Both ends learn why a stream ended; see StreamError. The wire format is in
// stream_frame.hpp, the protocol in docs/port-streams.md.
//
// The peer isn't trusted. Whatever it sends, deadlines and stops are kept, and a stream keeps no more of it
// than the blocks that PortStreamOptions allow and 1024 ends of streams that nobody received, each with 4 KiB
// of words at most; buffers take up to four times that. A peer that sends more than that, or 8192 messages in
// a row that have no effect, ends the stream for good with stream_errc::protocol.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <istream>
#include <iterator>
#include <memory>
#include <span>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "sluice/ipc/port/any_port.hpp"
#include "sluice/ipc/stream/block_source.hpp"
#include "sluice/ipc/stream/stream_error.hpp"

namespace sluice::ipc {
class StreamEnds;  // not exported
}

#pragma GCC visibility push(default)

namespace sluice {

/// Where a received block lies. The port is read by whichever thread waits, in send() or in the receiving
/// loop; it reads for both. A port that can't be read by calls (one that was started, for example) is read by
/// its delivery thread, and its blocks are copied: the port's handlers are set while the stream uses it.
enum class StreamReading : std::uint8_t {
  /// In the peer's memory while nothing is sent; copied once while something is. A send that begins while
  /// another thread's loop has a block in place gets no answer until that loop comes back, so don't wait for
  /// it inside the loop; send() and receive() by the very thread that has the block throw errc::misuse.
  in_place,
  /// In memory of this process: sending and receiving go on inside the receiving loop, too, by any thread.
  copied,
};

struct PortStreamOptions {
  /// How long a sender waits without any block being answered, and for room to post one.
  Duration ack_timeout = std::chrono::seconds(30);
  /// How long a receiver waits without a block; default: for ever. Also how long it waits for room to answer
  /// one, or ack_timeout if that is less.
  Duration idle_timeout = std::chrono::nanoseconds::max();
  /// Blocks are cut to this many bytes across the pieces that the source gives; 0: each piece is one block.
  std::size_t chunk_bytes = 0;
  /// Bytes that a peer may send ahead of our consumer; 0 turns credits off (one block at a time).
  std::uint32_t window_bytes = 1U << 20U;
  /// Bytes beyond that, or beyond one block if that is larger, which are tolerated before the peer's stream
  /// is refused. So is more than 8192 blocks.
  std::uint64_t tolerance_bytes = 1U << 16U;
  /// How long a stream that ends early waits for the other side to take note.
  Duration linger = std::chrono::seconds(1);
  StreamReading reading = StreamReading::in_place;
};

/// What was moved, and how much of it is still under way.
struct SendProgress {
  std::uint64_t blocks_sent = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_acknowledged = 0;  ///< consumed by the receiver
  std::uint64_t bytes_in_flight = 0;     ///< sent and not answered
};

/// What the consumer was given, the block that it has now included.
struct StreamTotals {
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;
};

struct SendOptions {
  std::stop_token stop{};
  /// Called by send() after each block and at the end.
  std::function<void(const SendProgress&)> on_progress{};
};

struct ReceiveOptions {
  std::stop_token stop{};
};

/// Uses a block; may throw, which rejects it with what() as the reason.
using BlockConsumer = std::function<void(std::span<const std::byte> block)>;

/// The blocks of one stream, as an input range to be walked once. Going on acknowledges the block before;
/// destroying it early refuses the rest (and says so to the sender). Iterating throws StreamError if the
/// stream doesn't complete. A span is valid until the loop goes on; unless in StreamReading::copied it
/// can lie in the peer's memory, who can still change it: copy it first if the peer isn't trusted.
/// Moved-from it can only be destroyed: iterating throws errc::misuse.
/// Thread-safety: one thread. Keeps the stream's port in use while it lives.
class ReceivedBlocks {
 public:
  class iterator {  // NOLINT(readability-identifier-naming): the name that ranges expect
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::span<const std::byte>;
    using difference_type = std::ptrdiff_t;

    value_type operator*() const noexcept { return block_; }
    iterator& operator++() {
      advance();
      return *this;
    }
    void operator++(int) { advance(); }
    friend bool operator==(const iterator& at, std::default_sentinel_t /*end*/) noexcept {
      return at.blocks_ == nullptr;
    }

   private:
    friend class ReceivedBlocks;
    explicit iterator(ReceivedBlocks& blocks) : blocks_(&blocks) { advance(); }
    void advance();

    ReceivedBlocks* blocks_;
    value_type block_{};
  };

  ReceivedBlocks(ReceivedBlocks&& other) noexcept;
  ReceivedBlocks& operator=(ReceivedBlocks&&) = delete;
  ReceivedBlocks(const ReceivedBlocks&) = delete;
  ReceivedBlocks& operator=(const ReceivedBlocks&) = delete;
  ~ReceivedBlocks();

  iterator begin() { return iterator(*this); }
  static std::default_sentinel_t end() noexcept { return {}; }

 private:
  friend class PortStream;
  ReceivedBlocks(std::shared_ptr<ipc::StreamEnds> ends, ReceiveOptions options);

  std::shared_ptr<ipc::StreamEnds> ends_;
  std::stop_token stop_;
  int exceptions_ = std::uncaught_exceptions();  // more of them at the end: the consumer failed
};

/// Streams over one port, which is the stream's alone while it lives (handlers are given back afterwards).
/// Threads: one sends, one receives (see StreamReading); close() and the progress calls from any. In a forked
/// child its calls throw errc::misuse; close() and the destructor, and that of ReceivedBlocks, do nothing.
/// Moved-from it is closed: calls throw errc::misuse, close() does nothing, and no progress was made.
class PortStream {
 public:
  PortStream(AnyPort port, const PortStreamOptions& options);
  PortStream(PortStream&&) noexcept;
  PortStream& operator=(PortStream&&) noexcept;
  ~PortStream();

  /// Sends one stream. Returns when the receiver has consumed all of it. Throws StreamError, or what the
  /// source throws (the receiver is told its what()); errc::misuse if a send is going on.
  StreamTotals send(const BlockSource& source, const SendOptions& options = {});
  template <BlockRangeLike R>
  StreamTotals send(R&& range, const SendOptions& options = {}) {
    return send_all(options, [&] {
      for (auto&& piece : range) write(ipc::bytes_of_block(piece));
    });
  }
  /// One piece; cut into blocks of chunk_bytes.
  template <ByteBlock B>
  requires(!BlockRangeLike<B>) StreamTotals send(const B& bytes, const SendOptions& options = {}) {
    return send_all(options, [&] { write(ipc::bytes_of_block(bytes)); });
  }
  StreamTotals send(std::istream& input, const SendOptions& options = {});
  /// Sends what can be read from a descriptor, to its end. Ends as well if the stream does while there is
  /// nothing to read.
  StreamTotals send_from(int fd, const SendOptions& options = {});
  /// For a source, inside send() on its thread: waits until `fd` can be read, or has come to its end. Throws
  /// what ends the stream meanwhile (the peer's end or refusal, a stop, close()), which may show 50 ms late,
  /// 200 ms in a wait of more than a second. Throws errc::misuse if nothing is being sent.
  void wait_for_input(int fd);

  /// Receives one stream, in a loop. Waits for one to begin. Throws errc::misuse if a receive is going on.
  ReceivedBlocks receive(ReceiveOptions options = {});
  /// Receives one stream, calling `consumer` for each block.
  StreamTotals receive(const BlockConsumer& consumer, const ReceiveOptions& options = {});
  /// Receives one stream into a descriptor; a block is acknowledged when it is written. Throws a system error
  /// for what write() refuses: for a pipe without a reader broken_pipe, and no SIGPIPE.
  StreamTotals receive_into(int fd, const ReceiveOptions& options = {});

  /// Of the present or last send.
  SendProgress send_progress() const;
  /// Of the present or last receive.
  StreamTotals receive_progress() const;

  /// Ends what is going on (stream_errc::cancelled) and gives the port's handlers back; a port that was
  /// handed over is closed with the destructor. Later calls throw errc::misuse.
  void close();

 private:
  /// `write_all` calls write() for each piece.
  template <typename WriteAll>
  StreamTotals send_all(const SendOptions& options, WriteAll write_all) {
    const std::shared_ptr<ipc::StreamEnds> kept = begin_send(options);  // the source may move this
    try {
      write_all();
      return finish_send();
    } catch (...) {
      fail_send(*kept);
      throw;
    }
  }
  std::shared_ptr<ipc::StreamEnds> begin_send(const SendOptions& options);
  void write(std::span<const std::byte> piece);
  StreamTotals finish_send();
  /// Inside a handler of the exception that the receiver is told of.
  static void fail_send(ipc::StreamEnds& ends) noexcept;
  ipc::StreamEnds& ends() const;

  std::shared_ptr<ipc::StreamEnds> ends_;
};

namespace ipc {

/// A port that was handed over is taken; one that has a name is borrowed, and must outlive the stream.
template <typename P>
AnyPort port_for_stream(std::remove_reference_t<P>& port) {
  if constexpr (std::is_lvalue_reference_v<P>) {
    return AnyPort::borrow(port);
  } else if constexpr (std::same_as<P, AnyPort>) {
    return std::move(port);
  } else {
    return AnyPort(std::move(port));
  }
}

}  // namespace ipc

/// A PortStream over `port`: borrowed if it is a variable (it must outlive the stream), taken if moved in.
/// Throws errc::bad_option.
template <typename P>
requires MessagePortLike<std::remove_reference_t<P>> PortStream
create_port_stream(P&& port, const PortStreamOptions& options = {}) {
  return PortStream(ipc::port_for_stream<P>(port), options);
}

/// Two connected streams in one process, over shared-memory ports: for tests.
std::pair<PortStream, PortStream> create_port_stream_pair(const PortStreamOptions& first = {},
                                                          const PortStreamOptions& second = {});

/// Sends one stream. `source`: whatever PortStream::send takes.
template <typename P, typename Source>
requires MessagePortLike<std::remove_reference_t<P>> StreamTotals send_port_stream(
    P&& port, Source&& source, const PortStreamOptions& options = {}, const SendOptions& send_options = {}) {
  return create_port_stream(std::forward<P>(port), options).send(std::forward<Source>(source), send_options);
}

/// Receives one stream.
template <typename P>
requires MessagePortLike<std::remove_reference_t<P>> ReceivedBlocks
receive_port_stream(P&& port, const PortStreamOptions& options = {}, ReceiveOptions receive_options = {}) {
  return create_port_stream(std::forward<P>(port), options).receive(std::move(receive_options));
}
template <typename P>
requires MessagePortLike<std::remove_reference_t<P>> StreamTotals
receive_port_stream(P&& port, const BlockConsumer& consumer, const PortStreamOptions& options = {},
                    const ReceiveOptions& receive_options = {}) {
  return create_port_stream(std::forward<P>(port), options).receive(consumer, receive_options);
}

}  // namespace sluice

#pragma GCC visibility pop

#include "sluice/crypto/transfer.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "c2sp_header.hpp"
#include "chunk_cipher.hpp"
#include "secure_buffer.hpp"
#include "sluice/crypto/error.hpp"
#include "sluice/crypto/streaming_decryptor.hpp"
#include "stream_start.hpp"

namespace sluice::crypto {
namespace {

// Chunks are moved in runs, so that small ones don't cost a system call and a lock each.
constexpr std::size_t kRunBytes = std::size_t{256} << 10U;
constexpr unsigned kMaxWorkers = 256;

using Direction = ChunkCipher::Direction;

/// Several consecutive chunks on their way through one worker.
struct Run {
  std::uint64_t number = 0;  // in the stream of runs
  std::uint64_t first_chunk = 0;
  std::size_t chunks = 0;
  std::span<const std::byte> input{};
  std::span<std::byte> output{};  // shortened to what is verified
  bool in_place = false;          // output is the sink's own memory
  bool authentic = true;
};

/// Every worker takes the next run from the source, seals or opens it on its own, and delivers it in its
/// turn. The source is read under one lock, the sink is written by the one worker whose turn it is.
class Transfer {
 public:
  Transfer(Direction direction, ByteSource& source, ByteSink& sink, const StreamStart& start,
           const TransferOptions& options)
      : direction_(direction),
        source_(source),
        sink_(sink),
        start_(start),
        options_(options),
        input_chunk_(direction == Direction::seal ? start.chunk_size : start.sealed_chunk_size()),
        output_chunk_(direction == Direction::seal ? start.sealed_chunk_size() : start.chunk_size),
        run_chunks_(std::max<std::size_t>(1, kRunBytes / start.chunk_size)) {
    if (options.workers < 1 || options.workers > kMaxWorkers) {
      throw error(errc::bad_option, "workers: expected 1 .. 256, got " + std::to_string(options.workers));
    }
  }

  std::uint64_t run() {
    {
      std::vector<std::jthread> helpers;  // joined at the end of this block
      try {
        for (unsigned i = 1; i < options_.workers; ++i) helpers.emplace_back([this] { work(); });
      } catch (...) {
        fail(kNoRun);
      }
      work();
    }
    if (failure_) std::rethrow_exception(failure_);
    return plaintext_bytes_;
  }

 private:
  static constexpr std::uint64_t kNoRun = std::numeric_limits<std::uint64_t>::max();

  struct Buffers {
    std::vector<std::byte> input;
    std::vector<std::byte> output;
    ~Buffers() {
      wipe(input);
      wipe(output);
    }
  };

  void work() noexcept {
    std::uint64_t current = kNoRun;
    try {
      ChunkCipher cipher(direction_, start_.keys);
      Buffers buffers;
      for (Run run; take(run, buffers, current); run = {}) {
        direction_ == Direction::seal ? seal_run(cipher, run) : open_run(cipher, run);
        deliver(run);
      }
    } catch (...) {
      fail(current);
    }
  }

  // Reads the next run; false when there is none. `current` is its number as soon as it has one.
  bool take(Run& run, Buffers& buffers, std::uint64_t& current) {
    const std::lock_guard lock(source_mutex_);
    if (source_ended_ || failed()) return false;
    run.number = current = next_run_++;
    run.first_chunk = run.number * run_chunks_;
    if (options_.cancel.stop_requested()) throw error(errc::cancelled, "transfer of a sealed stream");
    const std::size_t wanted = run_chunks_ * input_chunk_;
    if (const auto view = source_.take(wanted)) {
      run.input = *view;
    } else {
      buffers.input.resize(wanted);
      run.input = std::span(buffers.input).first(read_full(source_, buffers.input));
    }
    source_ended_ = run.input.size() < wanted;
    place_output(run, buffers);
    return true;
  }

  // Under the lock of the source, because a sink in memory hands out its places in the order of the runs.
  void place_output(Run& run, Buffers& buffers) {
    run.chunks = run.input.size() / input_chunk_;
    std::size_t size = run.chunks * output_chunk_;
    if (source_ended_) {
      const std::size_t rest = run.input.size() % input_chunk_;
      if (direction_ == Direction::seal) {
        size += rest + kTagSize;
        ++run.chunks;
      } else if (rest >= kTagSize) {
        size += rest - kTagSize;
        ++run.chunks;
      } else {
        run.authentic = false;  // the last chunk is missing, or too short to be one
      }
    }
    const auto place = sink_.claim(size);
    run.in_place = place.has_value();
    if (place) {
      run.output = *place;
    } else {
      buffers.output.resize(run_chunks_ * output_chunk_ + kTagSize);
      run.output = std::span(buffers.output).first(size);
    }
  }

  std::span<const std::byte> input_chunk(const Run& run, std::size_t i) const {
    const auto rest = run.input.subspan(i * input_chunk_);
    return rest.first(std::min(rest.size(), input_chunk_));
  }
  std::span<std::byte> output_chunk(const Run& run, std::size_t i) const {
    const auto rest = run.output.subspan(i * output_chunk_);
    return rest.first(std::min(rest.size(), output_chunk_));
  }

  void seal_run(ChunkCipher& cipher, const Run& run) const {
    for (std::size_t i = 0; i < run.chunks; ++i) {
      cipher.seal(run.first_chunk + i, input_chunk(run, i), output_chunk(run, i));
    }
  }

  void open_run(ChunkCipher& cipher, Run& run) const {
    for (std::size_t i = 0; i < run.chunks; ++i) {
      if (cipher.open(run.first_chunk + i, input_chunk(run, i), output_chunk(run, i))) continue;
      run.output = run.output.first(i * output_chunk_);
      run.authentic = false;
      return;
    }
  }

  // Waits for its turn and writes what is sound. A run that isn't ends the stream: it never passes the turn
  // on.
  void deliver(const Run& run) {
    {
      std::unique_lock lock(turn_mutex_);
      turn_.wait(lock, [&] { return delivered_ == run.number || failed_run_ < run.number; });
      if (failed_run_ < run.number) return;
    }
    if (!run.in_place) sink_.write(run.output);
    if (!run.authentic) throw_not_authentic();
    plaintext_bytes_ += direction_ == Direction::seal ? run.input.size() : run.output.size();
    if (options_.progress) options_.progress(plaintext_bytes_);
    const std::lock_guard lock(turn_mutex_);
    ++delivered_;
    turn_.notify_all();
  }

  // Keeps the failure of the earliest run: that is the one a single worker would have met.
  void fail(std::uint64_t run) noexcept {
    const std::lock_guard lock(turn_mutex_);
    if (!failure_ || run < failed_run_) {
      failure_ = std::current_exception();
      failed_run_ = run;
    }
    turn_.notify_all();
  }

  bool failed() {
    const std::lock_guard lock(turn_mutex_);
    return failure_ != nullptr;
  }

  const Direction direction_;
  ByteSource& source_;
  ByteSink& sink_;
  const StreamStart& start_;
  const TransferOptions& options_;
  const std::size_t input_chunk_;
  const std::size_t output_chunk_;
  const std::size_t run_chunks_;

  std::mutex source_mutex_;
  std::uint64_t next_run_ = 0;
  bool source_ended_ = false;

  std::mutex turn_mutex_;
  std::condition_variable turn_;
  std::uint64_t delivered_ = 0;
  std::uint64_t failed_run_ = kNoRun;
  std::exception_ptr failure_;
  std::uint64_t plaintext_bytes_ = 0;  // touched only by the worker whose turn it is
};

std::uint64_t open_legacy(ByteSource& source, ByteSink& sink, StreamStart start,
                          const TransferOptions& transfer) {
  StreamingDecryptor decryptor(source, std::move(start));
  std::vector<std::byte> buffer(std::max<std::size_t>(kRunBytes, decryptor.chunk_size()));
  std::uint64_t total = 0;
  while (const std::size_t count = decryptor.read(buffer)) {
    if (transfer.cancel.stop_requested()) throw error(errc::cancelled, "transfer of a version 1 stream");
    sink.write(std::span(buffer).first(count));
    total += count;
    if (transfer.progress) transfer.progress(total);
  }
  return total;
}

}  // namespace

std::uint64_t seal(ByteSource& source, ByteSink& sink, const SecretKey& key, const SealOptions& options,
                   const TransferOptions& transfer) {
  const StreamStart start = start_sealing(key, options);
  Transfer run(Direction::seal, source, sink, start, transfer);
  sink.write(start.header);
  return run.run();
}

std::uint64_t open(ByteSource& source, ByteSink& sink, const Keys& keys, const OpenOptions& options,
                   const TransferOptions& transfer) {
  StreamStart start = start_opening(source, keys, options);
  if (start.legacy_v1) return open_legacy(source, sink, std::move(start), transfer);
  return Transfer(Direction::open, source, sink, start, transfer).run();
}

std::uint64_t sealed_size(std::uint64_t plaintext_bytes, const SealOptions& options) {
  const std::uint64_t header = options.format == Format::c2sp ? C2spHeader::kSize : AgcmHeader::kSize;
  const std::uint64_t chunks = plaintext_bytes / chosen_chunk_size(options) + 1;
  return header + plaintext_bytes + chunks * kTagSize;
}

}  // namespace sluice::crypto

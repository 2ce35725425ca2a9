#include "sluice/crypto/seal/transfer.hpp"

#include <sched.h>

#include <algorithm>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "c2sp_header.hpp"
#include "chunk_cipher.hpp"
#include "run_schedule.hpp"
#include "scratch_buffer.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/seal/streaming_decryptor.hpp"
#include "stream_start.hpp"

namespace sluice::crypto {
namespace {

// Chunks are moved in runs, so that small ones don't cost a system call and a lock each. However many runs
// are on their way, they stay within a few MiB, or are one chunk each.
constexpr std::size_t kRunBytes = std::size_t{256} << 10U;
constexpr std::size_t kAllRunsBytes = std::size_t{4} << 20U;
constexpr unsigned kMaxWorkers = 256;

using Direction = ChunkCipher::Direction;

// Runs on their way: one for every thread, and one more for a thread that is ahead of the others.
std::size_t places_for(unsigned workers) {
  if (workers < 1 || workers > kMaxWorkers) {
    throw error(sluice::errc::bad_option, "workers: expected 1 .. 256, got " + std::to_string(workers));
  }
  return std::size_t{workers} + 2;
}

std::size_t chunks_in_run(const StreamStart& start, std::size_t places) {
  const std::size_t bytes = std::min(kRunBytes, kAllRunsBytes / (2 * places));  // in and out
  return std::max<std::size_t>(1, bytes / start.chunk_bytes);
}

// Those that this thread may run on: a container often has fewer than the machine.
unsigned usable_processors() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) < 0) return 1;  // a machine of more than 1024
  return static_cast<unsigned>(CPU_COUNT(&set));
}

/// Several consecutive chunks on their way, and memory for them if neither end lends any.
struct Run {
  std::uint64_t first_chunk = 0;
  std::size_t chunks = 0;
  std::span<const std::byte> input{};
  std::span<std::byte> output{};  // shortened to what is verified
  bool lent_input = false;        // input is the source's own memory
  bool lent_output = false;       // output is the sink's own memory
  bool last = false;              // the source has ended
  bool authentic = true;
};

struct Place {
  Run run;
  ScratchBuffer input;
  ScratchBuffer output;
};

/// Every thread does whatever step of whatever run is the most urgent. If bytes are read or written, not
/// lent by memory, there is one thread more than workers: the cipher goes on meanwhile.
class Transfer {
 public:
  Transfer(Direction direction, ByteSource& source, ByteSink& sink, const StreamStart& start,
           const TransferOptions& options)
      : direction_(direction),
        source_(source),
        sink_(sink),
        start_(start),
        options_(options),
        input_chunk_(direction == Direction::seal ? start.chunk_bytes : start.sealed_chunk_size()),
        output_chunk_(direction == Direction::seal ? start.sealed_chunk_size() : start.chunk_bytes),
        places_(places_for(options.workers)),
        run_chunks_(chunks_in_run(start, places_.size())),
        schedule_(options.workers, places_.size()) {}

  std::uint64_t run() {
    {
      const std::stop_callback on_stop(options_.cancel, [this] { source_.interrupt(); });
      std::vector<std::jthread> helpers;  // joined at the end of this block
      work([&](const Run& first) { start_helpers(first, helpers); });
    }
    schedule_.rethrow();
    return plaintext_bytes_;
  }

 private:
  // After the first run was read: a short stream needs no other thread.
  void start_helpers(const Run& first, std::vector<std::jthread>& helpers) {
    if (first.last) return;
    const bool all_lent = first.lent_input && first.lent_output;
    const unsigned wanted = options_.workers + (all_lent ? 0 : 1);
    if (wanted == 1) return;
    const unsigned processors = usable_processors();
    const unsigned threads = std::min(wanted, std::max(options_.workers, processors));
    if (threads <= processors) schedule_.poll_before_sleeping();
    try {
      while (helpers.size() + 1 < threads) {
        helpers.emplace_back([this] { work([](const Run&) {}); });
      }
    } catch (const std::system_error&) {
      // The system has no more threads: those that are there do all of the work.
    }
  }

  template <typename OnFirst>
  void work(OnFirst on_first_read) noexcept {
    Task task;
    try {
      ChunkCipher cipher(direction_, start_.keys);
      bool first = true;
      while ((task = schedule_.next()).step != Step::none) {
        owner_.check("a transfer of a sealed stream");
        Place& place = places_[task.run % places_.size()];
        Run& run = place.run;
        if (task.step == Step::read) {
          read(task.run, place);
          if (std::exchange(first, false)) on_first_read(run);
        } else if (task.step == Step::cipher) {
          direction_ == Direction::seal ? seal_run(cipher, run) : open_run(cipher, run);
        } else {
          deliver(run);
        }
        schedule_.done(task, run.last);
        task = {};
      }
    } catch (...) {
      schedule_.fail(task);
      source_.interrupt();  // another thread may wait there for what nobody needs any more
    }
  }

  void read(std::uint64_t number, Place& place) {
    if (options_.cancel.stop_requested()) throw error(errc::cancelled, "transfer of a sealed stream");
    Run& run = place.run;
    run = {};
    run.first_chunk = number * run_chunks_;
    const std::size_t wanted = run_chunks_ * input_chunk_;
    if (const auto view = source_.take(wanted)) {
      if (view->size() > wanted)
        throw error(sluice::errc::misuse, "a byte source returned more than was asked for");
      run.input = *view;
      run.lent_input = true;
    } else {
      // Room for a tag: a run of one chunk is sealed in place.
      const auto room = place.input.make(wanted + kTagSize);
      run.input = room.first(read_full(source_, room.first(wanted)));
    }
    run.last = run.input.size() < wanted;
    place_output(place);
  }

  // While the run is read, because a sink in memory hands out its places in the order of the runs.
  void place_output(Place& place) {
    Run& run = place.run;
    run.chunks = run.input.size() / input_chunk_;
    std::size_t size = run.chunks * output_chunk_;
    if (run.last) {
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
    const auto lent = sink_.claim(size);
    run.lent_output = lent.has_value();
    if (lent) {
      if (lent->size() != size)
        throw error(sluice::errc::misuse, "a byte sink gave another size than was asked for");
      run.output = *lent;
    } else if (run_chunks_ == 1 && !run.lent_input) {
      run.output = place.input.make(input_chunk_ + kTagSize).first(size);
    } else {
      run.output = place.output.make(run_chunks_ * output_chunk_ + kTagSize).first(size);
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

  // Writes what is sound. A run that isn't ends the stream.
  void deliver(const Run& run) {
    if (!run.lent_output) sink_.write(run.output);
    if (!run.authentic) throw_not_authentic();
    plaintext_bytes_ += direction_ == Direction::seal ? run.input.size() : run.output.size();
    if (options_.progress) options_.progress(plaintext_bytes_);
  }

  const base::OwnerProcess owner_;
  const Direction direction_;
  ByteSource& source_;
  ByteSink& sink_;
  const StreamStart& start_;
  const TransferOptions& options_;
  const std::size_t input_chunk_;
  const std::size_t output_chunk_;

  std::vector<Place> places_;  // a run's own until it is delivered: run % size
  const std::size_t run_chunks_;
  RunSchedule schedule_;
  std::uint64_t plaintext_bytes_ = 0;  // touched only while a run is delivered
};

std::uint64_t open_legacy(ByteSource& source, ByteSink& sink, StreamStart start,
                          const TransferOptions& transfer) {
  StreamingDecryptor decryptor(source, std::move(start));
  std::vector<std::byte> buffer(std::max<std::size_t>(kRunBytes, decryptor.chunk_bytes()));
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

// Where bytes come from and go to: two tiny interfaces, and adapters for descriptors, iostreams and memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sluice/crypto/key/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::base {
class AtomicFile;
class Event;
}  // namespace sluice::base

namespace sluice::crypto {

/// A sequence of bytes to read. Implementations needn't be thread-safe: no two calls ever overlap.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Reads at least one byte and at most into.size(); 0 means the end. Throws on failure.
  virtual std::size_t read(std::span<std::byte> into) = 0;

  /// A source in memory gives its next `size` bytes (fewer only at the end) without a copy and moves past
  /// them; they must not change while they are in use. Every other source gives nullopt (the default).
  virtual std::optional<std::span<const std::byte>> take(std::size_t size);

  /// Somebody waits for the end of a read() that may last for ever, because nothing that it gives will be
  /// used: it throws soon, and so does every later one. From any thread, at any time. By default nothing
  /// happens.
  virtual void interrupt() noexcept {}

 protected:
  ByteSource() = default;
  ByteSource(const ByteSource&) = default;
  ByteSource& operator=(const ByteSource&) = default;
};

/// Where bytes are written. Implementations needn't be thread-safe: no two calls ever overlap.
class ByteSink {
 public:
  virtual ~ByteSink() = default;

  /// Writes all of `bytes`, or throws.
  virtual void write(std::span<const std::byte> bytes) = 0;

  /// A sink in memory gives the place of its next `size` bytes, which then count as written, and which the
  /// caller fills later, also from another thread. Every other sink gives nullopt (the default).
  virtual std::optional<std::span<std::byte>> claim(std::size_t size);

 protected:
  ByteSink() = default;
  ByteSink(const ByteSink&) = default;
  ByteSink& operator=(const ByteSink&) = default;
};

/// Bytes that can be read at any position. Implementations needn't be thread-safe.
class RandomAccessSource {
 public:
  virtual ~RandomAccessSource() = default;
  virtual std::uint64_t size() const = 0;
  /// Fills `into` from `offset`. Throws if the bytes aren't there.
  virtual void read_at(std::uint64_t offset, std::span<std::byte> into) = 0;

 protected:
  RandomAccessSource() = default;
  RandomAccessSource(const RandomAccessSource&) = default;
  RandomAccessSource& operator=(const RandomAccessSource&) = default;
};

/// Reads until `into` is full or the source ends; returns how much came.
std::size_t read_full(ByteSource& source, std::span<std::byte> into);

/// A file, pipe or socket to read from. Borrows the descriptor; a non-blocking one is waited for. `name` is
/// what errors call it, "descriptor N" if it is empty.
class FdSource final : public ByteSource {
 public:
  explicit FdSource(int fd, const std::string& name = {});
  FdSource(const FdSource&) = delete;
  FdSource& operator=(const FdSource&) = delete;
  ~FdSource() override;

  std::size_t read(std::span<std::byte> into) override;
  /// A read() that waits throws errc::cancelled.
  void interrupt() noexcept override;

 private:
  void wait_until_readable() const;

  int fd_;
  std::string name_;
  std::unique_ptr<base::Event> interruption_;  // for what may have to be waited for
};

/// A file, pipe or socket to write to. Borrows the descriptor; a non-blocking one is waited for. `name` as
/// for a FdSource.
class FdSink final : public ByteSink {
 public:
  explicit FdSink(int fd, const std::string& name = {});
  void write(std::span<const std::byte> bytes) override;

 private:
  int fd_;
  std::string name_;
};

/// A file that appears only when it is complete. Borrows it; commit() is the caller's.
class AtomicFileSink final : public ByteSink {
 public:
  explicit AtomicFileSink(base::AtomicFile& file) noexcept : file_(&file) {}
  void write(std::span<const std::byte> bytes) override;

 private:
  base::AtomicFile* file_;
};

/// A file read by position (pread). Borrows the descriptor; the size is taken once, here.
class FdRandomAccess final : public RandomAccessSource {
 public:
  explicit FdRandomAccess(int fd);
  std::uint64_t size() const override { return size_; }
  void read_at(std::uint64_t offset, std::span<std::byte> into) override;

 private:
  int fd_;
  std::uint64_t size_ = 0;
};

/// A std::istream; its failure (badbit) is thrown as an error.
class IstreamSource final : public ByteSource {
 public:
  explicit IstreamSource(std::istream& stream) noexcept : stream_(&stream) {}
  std::size_t read(std::span<std::byte> into) override;

 private:
  std::istream* stream_;
};

/// A std::ostream; its failure is thrown as an error.
class OstreamSink final : public ByteSink {
 public:
  explicit OstreamSink(std::ostream& stream) noexcept : stream_(&stream) {}
  void write(std::span<const std::byte> bytes) override;

 private:
  std::ostream* stream_;
};

/// Memory to read from, without a copy. It must not change, nor be shared with a writer, while it is read.
class MemorySource final : public ByteSource, public RandomAccessSource {
 public:
  explicit MemorySource(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
  std::size_t read(std::span<std::byte> into) override;
  std::optional<std::span<const std::byte>> take(std::size_t size) override;
  std::uint64_t size() const override { return bytes_.size(); }
  void read_at(std::uint64_t offset, std::span<std::byte> into) override;

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

/// Memory of a fixed size to write to, without a copy; errc::no_room beyond its end.
class MemorySink final : public ByteSink {
 public:
  explicit MemorySink(std::span<std::byte> room) noexcept : room_(room) {}
  void write(std::span<const std::byte> bytes) override;
  std::optional<std::span<std::byte>> claim(std::size_t size) override;
  /// Bytes written so far.
  std::size_t size() const noexcept { return used_; }

 private:
  std::span<std::byte> room_;
  std::size_t used_ = 0;
};

/// A vector that grows.
class VectorSink final : public ByteSink {
 public:
  void write(std::span<const std::byte> bytes) override;
  const std::vector<std::byte>& bytes() const noexcept { return bytes_; }
  std::vector<std::byte> release() noexcept { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace sluice::crypto

#pragma GCC visibility pop

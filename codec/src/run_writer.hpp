// Writes the runs of a delta: see docs/formats/deltas.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <span>
#include <utility>
#include <vector>

#include "packed_walk.hpp"
#include "sluice/codec/detail/writers.hpp"

namespace sluice::codec {

/// The tokens for one container of the base, in its order. Neighbours of a kind become one token.
class RunWriter {
 public:
  /// Bytes for the heads of the whole, and of the three tokens that may be unwritten.
  static constexpr std::size_t kHeads = 20;

  /// For a container with `each` values an entry.
  explicit RunWriter(unsigned each) noexcept : each_(each) {}

  /// What finish() returns has no more bytes than this.
  std::size_t most_bytes() const noexcept { return tokens_.size() + inserts_.size() + kHeads; }

  void keep(std::uint32_t entries) {
    if (entries == 0) return;
    end_change();
    kept_ += entries;
  }
  void drop(std::uint32_t entries) {
    if (entries == 0) return;
    end_keep();
    dropped_ += entries;
  }
  void insert(const Entry& entry) {
    end_keep();
    inserts_.write(entry.all());
    ++inserted_;
  }
  /// The next entry's value becomes `value`,
  void replace(std::span<const std::byte> value) {
    end_keep();
    end_change();
    packer_.pack_false();
    tokens_.write(value);
    count_ += 2;
  }
  /// or is edited by `runs` of its own.
  void edit(std::span<const std::byte> runs) {
    end_keep();
    end_change();
    packer_.pack_true();
    tokens_.write(runs);
    count_ += 2;
  }

  std::vector<std::byte> finish() && {
    end_keep();
    end_change();
    detail::GrowingWriter whole;
    Packer(whole).pack_array(count_);
    whole.write(std::move(tokens_).take());
    return std::move(whole).take();
  }

 private:
  using Packer = msgpack::packer<detail::GrowingWriter>;
  void number(std::int64_t entries) {
    packer_.pack_int64(entries);
    ++count_;
  }
  void end_keep() {
    if (kept_ != 0) number(std::exchange(kept_, 0));
  }
  void end_change() {
    if (dropped_ != 0) number(-std::int64_t{std::exchange(dropped_, 0)});
    if (inserted_ == 0) return;
    packer_.pack_array(std::exchange(inserted_, 0) * each_);
    tokens_.write(std::exchange(inserts_, {}).take());
    ++count_;
  }

  const unsigned each_;
  detail::GrowingWriter tokens_;
  Packer packer_{tokens_};
  std::uint32_t count_ = 0;  // of tokens_
  // What isn't written yet: kept entries; or dropped ones, and what is inserted in their place.
  std::uint32_t kept_ = 0;
  std::uint32_t dropped_ = 0;
  std::uint32_t inserted_ = 0;
  detail::GrowingWriter inserts_;
};

}  // namespace sluice::codec

// Reads the runs of a delta: see docs/formats/deltas.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <msgpack.hpp>
#include <span>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/codec/error.hpp"
#include "sluice/codec/object_tree.hpp"
#include "tree_values.hpp"

namespace sluice::codec {

[[noreturn]] inline void refuse_delta(const std::string& expected, const std::string& got) {
  throw error(errc::bad_delta, "delta: expected " + expected + ", got " + got);
}

/// The tokens for one container. Throws errc::bad_delta.
class Tokens {
 public:
  explicit Tokens(const msgpack::object& runs) {
    if (runs.type != msgpack::type::ARRAY) refuse_delta("an array of runs", describe(runs));
    left_ = children_of(runs);
  }
  bool empty() const noexcept { return left_.empty(); }
  const msgpack::object& next() {
    if (left_.empty()) refuse_delta("a token", "the end of the runs");
    const msgpack::object& token = left_.front();
    left_ = left_.subspan(1);
    return token;
  }

 private:
  std::span<const msgpack::object> left_;
};

/// How many entries a token keeps (a positive number) or drops (a negative one). Others: 0.
inline std::int64_t run_of(const msgpack::object& token) {
  constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();
  const bool keeps = token.type == msgpack::type::POSITIVE_INTEGER;
  const bool drops = token.type == msgpack::type::NEGATIVE_INTEGER;
  if ((keeps && (token.via.u64 == 0 || token.via.u64 > kMost)) || (drops && token.via.i64 < -kMost))
    refuse_delta("a run of 1 to 2^32 - 1 entries", "another one");
  if (keeps) return static_cast<std::int64_t>(token.via.u64);
  return drops ? token.via.i64 : 0;
}

/// What runs do to the entries of a base.
struct Counts {
  std::uint64_t taken = 0;  ///< entries of the base that they pass
  std::uint64_t made = 0;   ///< entries of the new container
  bool moved = false;       ///< an entry gets another index
};

/// Of all the runs for a container with `each` values an entry, not of those within them.
inline Counts count_runs(Tokens runs, std::size_t each) {
  Counts counts;
  while (!runs.empty()) {
    const msgpack::object& token = runs.next();
    if (const std::int64_t run = run_of(token); run > 0) {
      counts.taken += static_cast<std::uint64_t>(run);
      counts.made += static_cast<std::uint64_t>(run);
    } else if (run < 0) {
      counts.taken += static_cast<std::uint64_t>(-run);
      counts.moved = true;
    } else if (token.type == msgpack::type::ARRAY) {
      if (token.via.array.size % each != 0) refuse_delta("a value for each key", "a key at the end");
      counts.made += token.via.array.size / each;
      counts.moved = true;
    } else if (token.type == msgpack::type::BOOLEAN) {
      runs.next();
      ++counts.taken;
      ++counts.made;
    } else {
      refuse_delta("a number, a boolean or an array", describe(token));
    }
  }
  return counts;
}

}  // namespace sluice::codec

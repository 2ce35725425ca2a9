// Something happens between two system calls of a reader: exactly there, and in turn at every such place.
#pragma once

#include <cstdint>
#include <functional>

namespace sluice::crypto::test {

/// While it lives, calls of openat, pread and readdir on this thread are counted, and `action` runs before the
/// one with number `nth` (from 0). What the action itself calls isn't counted. One at a time.
class BetweenCalls {
 public:
  BetweenCalls(std::uint64_t nth, std::function<void()> action);
  BetweenCalls(const BetweenCalls&) = delete;
  BetweenCalls& operator=(const BetweenCalls&) = delete;
  ~BetweenCalls();

  /// Whether there was such a call.
  bool happened() const;
};

/// Counts the names that directories have shown to this process.
std::uint64_t names_listed();

/// While it lives, listings leave out names for which this is true.
class NamesLeftOut {
 public:
  explicit NamesLeftOut(std::function<bool(const char*)> left_out);
  NamesLeftOut(const NamesLeftOut&) = delete;
  NamesLeftOut& operator=(const NamesLeftOut&) = delete;
  ~NamesLeftOut();
};

}  // namespace sluice::crypto::test

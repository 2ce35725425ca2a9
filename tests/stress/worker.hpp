// One of the two processes that random_kills.hpp kills, and what it leaves behind for its successors.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "session_parts.hpp"

namespace sluice::test {

/// One side's lasting results, in memory that outlives its processes. Each word has one writer, a process of
/// that side, but `finish`.
struct SideBoard {
  std::atomic<std::uint64_t> ready{0};    ///< the number of the last process that has opened the session
  std::atomic<std::uint64_t> epoch{0};    ///< of the last `connected` or `resumed`
  std::atomic<std::uint64_t> posting{0};  ///< the last message that was begun to be posted
  std::atomic<std::uint64_t> posted{0};   ///< the last one that was published
  std::atomic<std::uint64_t> handled{0};  ///< the last message that was received and checked: the checkpoint
  std::atomic<std::uint64_t> redelivered{0};
  std::atomic<std::uint64_t> session_low{0};  ///< the session's id, once it is known
  std::atomic<std::uint64_t> session_high{0};
  std::atomic<bool> finish{false};    ///< set by the supervisor: post no more
  std::atomic<bool> finished{false};  ///< everything that was posted has been consumed
  std::array<char, 200> complaint{};  ///< the first broken promise, before `broken` is set
  std::atomic<bool> broken{false};
};

struct Board {
  std::array<SideBoard, 2> sides;
  SideBoard& of(Role role) { return sides.at(role == Role::host ? 0 : 1); }
};

struct WorkerOptions {
  Role role = Role::host;
  std::string path;
  std::uint64_t number = 0;     ///< counts the processes of both sides
  bool use_checkpoint = false;  ///< go on behind `handled`; otherwise behind what was released
  bool sleep_at_once = false;
  bool lingers = false;     ///< over messages that it has handled and not released: they come again
  std::uint64_t batch = 1;  ///< messages a publication
};

/// The whole life of a worker. Returns when both sides have finished; complains on the board.
void work(const WorkerOptions& options, Board& board);

}  // namespace sluice::test

// Tells when a peer is gone: one thread for the whole process that sleeps in epoll until a socket hangs up or
// a process ends.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "sluice/base/descriptor.hpp"

namespace sluice::ipc {

/// One peer being watched: until the last copy is gone or reset. Afterwards on_gone is not running and will
/// not run, and what it captured is destroyed; who lets the last copy go waits for it if need be. Only from
/// within on_gone itself that returns at once. Must not be done with a lock held that on_gone takes.
using Watch = std::shared_ptr<const void>;

/// The watcher and its thread, which blocks every signal and is named "sluice-watch". All functions are
/// thread-safe.
class PeerWatcher : public std::enable_shared_from_this<PeerWatcher> {
  struct State;
  struct Token {};  // only shared() makes one

 public:
  /// The running watcher, or a new one. It ends, its thread joined, when the last pointer and the last Watch
  /// are gone; if that is on the watcher's own thread, the thread ends by itself right after. A forked child
  /// gets a new one.
  static std::shared_ptr<PeerWatcher> shared();

  explicit PeerWatcher(Token);
  PeerWatcher(const PeerWatcher&) = delete;
  PeerWatcher& operator=(const PeerWatcher&) = delete;
  ~PeerWatcher();

  /// Calls `on_gone` once, on the watcher's thread, when either end of `socket` is shut down or closed, or
  /// the process of `pidfd` (-1: none) has ended, reaped or not. Data that waits unread in the socket neither
  /// triggers nor delays it. Both descriptors must stay open until the Watch is destroyed, and can be watched
  /// once at a time. `on_gone` must not throw, and must be short: all peers of the process share the thread.
  Watch watch(int socket, int pidfd, std::function<void()> on_gone);

 private:
  void unwatch(std::uint64_t id) noexcept;
  bool runs_here() const noexcept;

  std::shared_ptr<State> state_;
  pthread_t thread_{};  // no std::thread: a forked child could neither join nor detach it
};

/// A descriptor that stands for this process (close-on-exec); empty if the system doesn't offer one.
Descriptor own_pidfd();

/// Whether `fd`, which came from a peer, is a pidfd and so may be given to PeerWatcher. Nothing if that can't
/// be found out: without /proc. Throws if this process has no descriptor or memory left for looking.
std::optional<bool> is_pidfd(int fd);

}  // namespace sluice::ipc

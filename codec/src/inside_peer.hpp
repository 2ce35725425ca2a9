// Whether this thread is running a peer's methods and callbacks.
#pragma once

namespace sluice::codec {

/// Marks the thread while it lives. Such a thread must not wait for what only the peer's thread can bring.
class InsidePeer {
 public:
  InsidePeer() noexcept { ++depth(); }
  InsidePeer(const InsidePeer&) = delete;
  InsidePeer& operator=(const InsidePeer&) = delete;
  ~InsidePeer() { --depth(); }

  static bool here() noexcept { return depth() > 0; }

 private:
  static unsigned& depth() noexcept {
    thread_local unsigned depth = 0;
    return depth;
  }
};

}  // namespace sluice::codec

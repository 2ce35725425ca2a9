// A channel in a directory of its own, and a second process at its other end.
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "child_process.hpp"
#include "sluice/ipc/connect/endpoint.hpp"
#include "temp_directory.hpp"

namespace sluice::test {

/// The path of a channel that exists only for one test.
class TestChannel {
 public:
  std::string path() const { return (directory_.path() / "channel").string(); }
  std::string directory() const { return directory_.path().string(); }

 private:
  TempDirectory directory_;
};

/// Forks a child that connects to `channel` and runs `body(port)`.
template <typename Body>
ChildProcess connecting_child(const TestChannel& channel, Body body, const PortOptions& options = {}) {
  return ChildProcess([path = channel.path(), body = std::move(body), options] {
    Port port = connect(path, {.port = options});
    body(port);
  });
}

/// Forks a child that listens on `channel`, accepts one client and runs `body(port)`.
template <typename Body>
ChildProcess listening_child(const TestChannel& channel, Body body, const PortOptions& options = {}) {
  return ChildProcess([path = channel.path(), body = std::move(body), options] {
    Listener listener = listen(path, {.port = options});
    Port port = listener.accept();
    body(port);
  });
}

}  // namespace sluice::test

// A port whose other side runs on the same thread: before it waits, it has the other side do what there is to do. So
// calls between two peers can be counted, in instructions or allocations.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <utility>

#include "sluice/ipc/port/port.hpp"

namespace sluice::test {

class DrivingPort {
 public:
  DrivingPort(Port port, std::function<void()> drive) : port_(std::move(port)), drive_(std::move(drive)) {}

  Status post_message(std::span<const std::byte> message) { return port_.post_message(message); }
  Status post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                          Deadline deadline) {
    return port_.post_parts_until(head, body, deadline);
  }
  MessageHandler on_message(MessageHandler handler) { return port_.on_message(std::move(handler)); }
  ErrorHandler on_error(ErrorHandler handler) { return port_.on_error(std::move(handler)); }
  CloseHandler on_close(CloseHandler handler) { return port_.on_close(std::move(handler)); }
  void start() { port_.start(); }
  void close() { port_.close(); }
  bool is_open() const { return port_.is_open(); }
  bool can_receive() const { return port_.can_receive(); }
  bool polls_cheaply() const { return true; }
  Message try_receive() { return port_.try_receive(); }
  Message receive_until(Deadline deadline) {
    drive_();
    return port_.receive_until(deadline);
  }

 private:
  Port port_;
  std::function<void()> drive_;
};

}  // namespace sluice::test

// sluice's own ports in the shape of channel.hpp.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <exception>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "harness/channel.hpp"
#include "harness/temporary_folder.hpp"
#include "sluice/ipc/connect/endpoint.hpp"

namespace sluice::bench {

/// How messages are taken: by calls of receive(), or by the handler of on_message on the port's own thread.
enum class Delivery : std::uint8_t { receive, handler };

inline WaitStrategy strategy_of(Wait wait) {
  switch (wait) {
    case Wait::spin:
      return WaitStrategy::spin;
    case Wait::adaptive:
      return WaitStrategy::adaptive;
    case Wait::sleep:
      break;
  }
  return WaitStrategy::sleep;
}

[[noreturn]] inline void fail_call(Status status, const char* what) {
  throw std::runtime_error(fmt::format("{}: {}", what, to_string(status)));
}

inline void expect_ok(Status status, const char* what) {
  if (status != Status::ok) [[unlikely]]
    fail_call(status, what);
}

/// One process's port.
template <Delivery kDelivery>
class PortEnd {
 public:
  PortEnd(Port port, unsigned batch) : port_(std::move(port)), batch_(batch) {}

  void send(Bytes message) {
    if (batch_ == 1) return expect_ok(port_.post_message(message), "post_message");
    expect_ok(port_.append_message(message), "append_message");
    if (++appended_ < batch_) return;
    appended_ = 0;
    port_.publish();
  }
  void flush() {
    if (batch_ != 1) port_.publish();
  }
  template <class Fill>
  void produce(std::size_t bytes, Fill fill) {
    auto claim = port_.claim(bytes);
    expect_ok(claim.status(), "claim");
    fill(claim.bytes());
    expect_ok(claim.commit(), "commit");
  }
  template <class Handler>
  void receive(Handler&& handler) {
    const auto message = port_.receive();
    expect_ok(message.status(), "receive");
    handler(message.bytes());
  }
  template <class Handler>
  requires(kDelivery == Delivery::handler) void serve(Handler& handler) {
    std::atomic<bool> done{false};
    std::exception_ptr problem;
    const auto finish = [&] {
      done.store(true, std::memory_order_release);  // publishes problem; pairs with the load below
      done.notify_one();
    };
    port_.on_message([&](Bytes message) {
      if (done.load(std::memory_order_relaxed)) return;  // only this thread ever sets it before the end
      try {
        if (!handler(message)) finish();
      } catch (...) {
        problem = std::current_exception();
        finish();
      }
    });
    port_.start();
    done.wait(false, std::memory_order_acquire);
    port_.on_message({});
    if (problem) std::rethrow_exception(problem);
  }

  Port& port() { return port_; }

 private:
  Port port_;
  unsigned batch_;
  unsigned appended_ = 0;  // since the last publication
};

template <Delivery kDelivery>
class SluicePorts {
 public:
  explicit SluicePorts(const ChannelOptions& options) : options_(options) {}

  PortEnd<kDelivery> open(Side side) {
    PortOptions port;
    port.ring_bytes = options_.ring_bytes;
    port.wait.strategy = strategy_of(options_.wait(side));
    const auto path = folder_.path() + "/port";
    if (side == Side::first) return {listen(path, {.port = port}).accept(), options_.batch};
    return {connect(path, {.port = port}), options_.batch};
  }

 private:
  ChannelOptions options_;
  TemporaryFolder folder_;
};

using Ports = SluicePorts<Delivery::receive>;
using HandlerPorts = SluicePorts<Delivery::handler>;

}  // namespace sluice::bench

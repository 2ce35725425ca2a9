// Peer: ZeroMQ PAIR sockets over ipc.
#pragma once

#include <fmt/format.h>
#include <unistd.h>
#include <zmq.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "harness/channel.hpp"
#include "harness/temporary_folder.hpp"

namespace sluice::bench {

class ZeroMq {
 public:
  explicit ZeroMq(const ChannelOptions& options)
      : options_(options), address_("ipc://" + folder_.path() + "/zmq") {}

  class End {
   public:
    End(const std::string& address, Side side, Wait wait)
        : context_(zmq_ctx_new(), zmq_ctx_term),
          socket_(zmq_socket(context_.get(), ZMQ_PAIR), zmq_close),
          flags_(wait == Wait::sleep ? 0 : ZMQ_DONTWAIT) {
      const int linger_ms = 0;
      zmq_setsockopt(socket_.get(), ZMQ_LINGER, &linger_ms, sizeof linger_ms);
      const auto outcome = side == Side::first ? zmq_bind(socket_.get(), address.c_str())
                                               : zmq_connect(socket_.get(), address.c_str());
      if (outcome != 0) fail(side == Side::first ? "zmq_bind" : "zmq_connect");
    }

    void send(Bytes message) {
      while (zmq_send(socket_.get(), message.data(), message.size(), flags_) < 0) {
        if (errno != EAGAIN && errno != EINTR) fail("zmq_send");
        cpu_pause();
      }
    }
    template <class Handler>
    void receive(Handler&& handler) {
      zmq_msg_t message;
      zmq_msg_init(&message);
      const std::unique_ptr<zmq_msg_t, int (*)(zmq_msg_t*)> closing(&message, zmq_msg_close);
      while (zmq_msg_recv(&message, socket_.get(), flags_) < 0) {
        if (errno != EAGAIN && errno != EINTR) fail("zmq_msg_recv");
        cpu_pause();
      }
      handler(Bytes{static_cast<const std::byte*>(zmq_msg_data(&message)), zmq_msg_size(&message)});
    }

   private:
    [[noreturn]] static void fail(const char* call) {
      throw std::runtime_error(fmt::format("{}: {}", call, zmq_strerror(errno)));
    }

    std::unique_ptr<void, int (*)(void*)> context_;
    std::unique_ptr<void, int (*)(void*)> socket_;
    int flags_;
  };

  End open(Side side) { return {address_, side, options_.wait(side)}; }

 private:
  ChannelOptions options_;
  TemporaryFolder folder_;
  std::string address_;
};

}  // namespace sluice::bench

// Peer: nng pair0 sockets over ipc. Messages are received without a copy (NNG_FLAG_ALLOC).
#pragma once

#include <fmt/format.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "harness/channel.hpp"
#include "harness/temporary_folder.hpp"

namespace sluice::bench {

class NngPair {
 public:
  explicit NngPair(const ChannelOptions& options)
      : options_(options), address_("ipc://" + folder_.path() + "/nng") {}

  class End {
   public:
    End(const std::string& address, Side side, Wait wait)
        : flags_(wait == Wait::sleep ? 0 : static_cast<int>(NNG_FLAG_NONBLOCK)) {
      check(nng_pair0_open(&socket_), "nng_pair0_open");
      check(nng_socket_set_size(socket_, NNG_OPT_RECVMAXSZ, 0), "NNG_OPT_RECVMAXSZ");
      check(nng_socket_set_int(socket_, NNG_OPT_SENDBUF, 1024), "NNG_OPT_SENDBUF");
      check(nng_socket_set_int(socket_, NNG_OPT_RECVBUF, 1024), "NNG_OPT_RECVBUF");
      if (side == Side::first) {
        check(nng_listen(socket_, address.c_str(), nullptr, 0), "nng_listen");
      } else {
        // The other process may not listen yet; the dialer goes on trying.
        check(nng_dial(socket_, address.c_str(), nullptr, NNG_FLAG_NONBLOCK), "nng_dial");
      }
    }
    ~End() {
      if (nng_socket_id(socket_) > 0) nng_close(socket_);
    }
    End(const End&) = delete;
    End& operator=(const End&) = delete;

    void send(Bytes message) {
      // nng_send takes void* for the sake of NNG_FLAG_ALLOC; without that flag it only reads.
      auto* const data = const_cast<std::byte*>(message.data());
      int outcome = 0;
      while ((outcome = nng_send(socket_, data, message.size(), flags_)) == NNG_EAGAIN) cpu_pause();
      check(outcome, "nng_send");
    }
    template <class Handler>
    void receive(Handler&& handler) {
      void* data = nullptr;
      std::size_t size = 0;
      int outcome = 0;
      while ((outcome = nng_recv(socket_, &data, &size, flags_ | static_cast<int>(NNG_FLAG_ALLOC))) ==
             NNG_EAGAIN)
        cpu_pause();
      check(outcome, "nng_recv");
      const auto release = [size](void* memory) { nng_free(memory, size); };
      const std::unique_ptr<void, decltype(release)> owned(data, release);
      handler(Bytes{static_cast<const std::byte*>(data), size});
    }

   private:
    static void check(int outcome, const char* call) {
      if (outcome != 0) throw std::runtime_error(fmt::format("{}: {}", call, nng_strerror(outcome)));
    }

    nng_socket socket_ = NNG_SOCKET_INITIALIZER;
    int flags_;
  };

  End open(Side side) { return {address_, side, options_.wait(side)}; }

 private:
  ChannelOptions options_;
  TemporaryFolder folder_;
  std::string address_;
};

}  // namespace sluice::bench

// Peer: iceoryx publishers and subscribers, payloads written in place in loaned chunks. Its daemon RouDi is
// started with the first channel and ended with the program.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/mepoo/chunk_header.hpp>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/popo/wait_set.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include "harness/channel.hpp"

namespace sluice::bench {

/// The daemon process. Its own output is discarded.
class RouDi {
 public:
  RouDi() : parent_(getpid()), pid_(fork()) {
    if (pid_ < 0) throw std::system_error(errno, std::system_category(), "fork of iox-roudi");
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      const auto nowhere = open("/dev/null", O_WRONLY);
      dup2(nowhere, STDOUT_FILENO);
      dup2(nowhere, STDERR_FILENO);
      execlp("iox-roudi", "iox-roudi", "--monitoring-mode", "off", "--log-level", "off", nullptr);
      _exit(127);
    }
  }
  ~RouDi() {
    if (getpid() != parent_) return;
    kill(pid_, SIGTERM);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  RouDi(const RouDi&) = delete;
  RouDi& operator=(const RouDi&) = delete;

  static void ensure() { static const RouDi daemon; }

 private:
  pid_t parent_;
  pid_t pid_;
};

class IceoryxPair {
 public:
  explicit IceoryxPair(const ChannelOptions& options) : options_(options) { RouDi::ensure(); }

  class End {
   public:
    explicit End(Side side, Wait wait) : wait_(wait) {
      using iox::popo::ConsumerTooSlowPolicy;
      using iox::popo::QueueFullPolicy;
      const auto* const name = side == Side::first ? "sluice-bench-first" : "sluice-bench-second";
      iox::log::LogManager::GetLogManager().SetDefaultLogLevel(iox::log::LogLevel::kOff,
                                                               iox::log::LogLevelOutput::kHideLogLevel);
      iox::runtime::PoshRuntime::initRuntime({iox::cxx::TruncateToCapacity, name});
      iox::popo::PublisherOptions lossless_out;
      lossless_out.subscriberTooSlowPolicy = ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
      iox::popo::SubscriberOptions lossless_in;
      lossless_in.queueFullPolicy = QueueFullPolicy::BLOCK_PRODUCER;
      const iox::capro::ServiceDescription there{"sluice", "bench", "there"};
      const iox::capro::ServiceDescription back{"sluice", "bench", "back"};
      out_ = std::make_unique<iox::popo::UntypedPublisher>(side == Side::first ? there : back, lossless_out);
      in_ = std::make_unique<iox::popo::UntypedSubscriber>(side == Side::first ? back : there, lossless_in);
      while (!out_->hasSubscribers() || in_->getSubscriptionState() != iox::SubscribeState::SUBSCRIBED)
        cpu_pause();
      if (wait_ != Wait::sleep) return;
      waits_ = std::make_unique<iox::popo::WaitSet<1>>();
      waits_->attachState(*in_, iox::popo::SubscriberState::HAS_DATA).or_else([](auto) {
        throw std::runtime_error("iceoryx: attachState failed");
      });
    }

    /// iceoryx signs off at its daemon in a static destructor only, and a daemon that still counts on a
    /// process that has gone leaves its shared memory behind: so this process, whose last object this is,
    /// ends by exit(). A failing one is left to its exception.
    ~End() {
      out_.reset();
      waits_.reset();
      in_.reset();
      if (std::uncaught_exceptions() == 0) std::exit(0);  // NOLINT(concurrency-mt-unsafe): one thread is left
    }
    End(const End&) = delete;
    End& operator=(const End&) = delete;

    void send(Bytes message) {
      produce(message.size(),
              [&](std::span<std::byte> room) { std::memcpy(room.data(), message.data(), room.size()); });
    }
    template <class Fill>
    void produce(std::size_t bytes, Fill fill) {
      bool sent = false;
      while (!sent) {
        out_->loan(static_cast<std::uint32_t>(bytes))
            .and_then([&](void* room) {
              fill(std::span(static_cast<std::byte*>(room), bytes));
              out_->publish(room);
              sent = true;
            })
            .or_else([](auto) { cpu_pause(); });
      }
    }
    template <class Handler>
    void receive(Handler&& handler) {
      bool taken = false;
      while (!taken) {
        in_->take()
            .and_then([&](const void* payload) {
              const auto* const header = iox::mepoo::ChunkHeader::fromUserPayload(payload);
              handler(Bytes{static_cast<const std::byte*>(payload), header->userPayloadSize()});
              in_->release(payload);
              taken = true;
            })
            .or_else([&](auto) {
              if (waits_) {
                waits_->wait();
              } else {
                cpu_pause();
              }
            });
      }
    }

   private:
    Wait wait_;
    std::unique_ptr<iox::popo::UntypedPublisher> out_;
    std::unique_ptr<iox::popo::UntypedSubscriber> in_;
    std::unique_ptr<iox::popo::WaitSet<1>> waits_;
  };

  End open(Side side) { return End(side, options_.wait(side)); }

 private:
  ChannelOptions options_;
};

}  // namespace sluice::bench

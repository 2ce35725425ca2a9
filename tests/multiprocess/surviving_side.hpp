// The side of a session that lives on while its peers are killed: it posts whenever there's room, and
// receives whatever comes.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "command.hpp"
#include "numbered_message.hpp"
#include "session_parts.hpp"

namespace sluice::test {

/// So small that it wraps every few rounds.
inline const PortOptions kSmallRing{.ring_bytes = 4096, .wait = {.strategy = WaitStrategy::sleep}};

/// Both directions: of one size, so that each release makes room for exactly one message.
inline NumberedMessages from_survivor() {
  return {1, 64, 64};
}
inline NumberedMessages from_victim() {
  return {2, 8, 200};
}

enum class Receiving { at_once, after_the_resumption };

/// Posts and receives on threads of its own. Thread-safety: one thread; the counts any.
class Survivor {
 public:
  Survivor(Role role, const std::string& path, Receiving receiving)
      : port_(open_session(role, path, {.port = kSmallRing, .on_state = events_.handler()})),
        sender_([this] { send(); }) {
    if (receiving == Receiving::at_once) receiver_ = std::thread([this] { receive(); });
  }
  Survivor(const Survivor&) = delete;
  Survivor& operator=(const Survivor&) = delete;
  ~Survivor() {
    port_.close();
    sender_.join();
    if (receiver_.joinable()) receiver_.join();
  }

  Events& events() { return events_; }
  std::uint64_t posted() const { return posted_; }
  std::uint64_t received() const { return received_; }
  bool in_order() const { return in_order_; }

  /// Receives what waits, where no thread does.
  void receive_what_waits() {
    if (receiver_.joinable()) return;
    while (const Message message = port_.try_receive()) take(message);
  }

  /// Whether the threads sleep in the kernel: they have done all that can be done.
  bool is_idle() const { return is_asleep(sender_id_) && (!receiver_.joinable() || is_asleep(receiver_id_)); }

 private:
  void send() {
    sender_id_ = ::gettid();
    NumberedMessages messages = from_survivor();
    while (port_.post_message(messages.make(posted_ + 1)) == Status::ok) ++posted_;
  }
  void receive() {
    receiver_id_ = ::gettid();
    for (Message message = port_.receive(); message; message = port_.receive()) take(message);
  }
  void take(const Message& message) {
    const bool next = message.sequence() == received_ + 1;
    if (!next || !from_victim().matches(message.bytes(), message.sequence())) in_order_ = false;
    ++received_;
  }

  Events events_;
  Port port_;
  std::atomic<std::uint64_t> posted_{0};
  std::atomic<std::uint64_t> received_{0};
  std::atomic<bool> in_order_{true};
  std::atomic<pid_t> sender_id_{0};
  std::atomic<pid_t> receiver_id_{0};
  std::thread sender_;
  std::thread receiver_;
};

}  // namespace sluice::test

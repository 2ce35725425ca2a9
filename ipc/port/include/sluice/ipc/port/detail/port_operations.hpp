// What a port may offer beyond MessagePortLike, with a fallback where it doesn't: messages posted in two
// parts, and reading by calls.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "sluice/base/status.hpp"
#include "sluice/ring/waiting.hpp"

namespace sluice {

/// A message that was read by a call: valid until the next receiving call on the same port, or its release.
/// The peer may still change the bytes.
struct ReceivedBytes {
  Status status = Status::would_block;
  std::span<const std::byte> bytes{};
};

namespace ipc {

template <typename P>
concept PostsParts = requires(P& port, std::span<const std::byte> part, Deadline deadline) {
  { port.post_parts_until(part, part, deadline) } -> std::same_as<Status>;
};

template <typename P>
concept ClaimsRoom = requires(P& port, Deadline deadline) {
  { port.claim_until(std::size_t{}, deadline).bytes() } -> std::same_as<std::span<std::byte>>;
};

/// A port with messages as objects that release themselves, such as Port.
template <typename P>
concept GivesMessages = requires(P& port, Deadline deadline) {
  { port.is_started() } -> std::same_as<bool>;
  { port.receive_until(deadline).status() } -> std::same_as<Status>;
  { port.receive_until(deadline).bytes() } -> std::same_as<std::span<const std::byte>>;
  port.try_receive();
};

/// A port with the type-erased form of reading.
template <typename P>
concept GivesBytes = requires(P& port, Deadline deadline) {
  { port.can_receive() } -> std::same_as<bool>;
  { port.receive_bytes(&deadline) } -> std::same_as<ReceivedBytes>;
  port.release_bytes();
};

inline void copy_bytes(std::span<const std::byte> from, std::byte* to) noexcept {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

/// Posts `head` and `body` as one message, with one copy where the port offers its memory. Ports without
/// timed calls ignore the deadline.
template <typename P>
Status post_parts_until(P& port, std::span<const std::byte> head, std::span<const std::byte> body,
                        Deadline deadline) {
  if constexpr (PostsParts<P>) {
    return port.post_parts_until(head, body, deadline);
  } else if constexpr (ClaimsRoom<P>) {
    auto claim = port.claim_until(head.size() + body.size(), deadline);
    if (!claim) return claim.status();
    copy_bytes(head, claim.bytes().data());
    copy_bytes(body, claim.bytes().data() + head.size());
    return claim.commit();
  } else {
    std::vector<std::byte> message(head.size() + body.size());
    copy_bytes(head, message.data());
    copy_bytes(body, message.data() + head.size());
    return port.post_message(message);
  }
}

/// Reads by calls from a port that can; holds the message read last. One thread at a time.
template <typename P>
class PortReader {
 public:
  static bool can_receive(P& port) {
    if constexpr (GivesBytes<P>) return port.can_receive();
    if constexpr (GivesMessages<P>) return !port.is_started();
    return false;
  }

  /// Whether a look at the port costs no system call.
  static bool polls_cheaply(P& port) {
    if constexpr (requires { port.polls_cheaply(); }) return port.polls_cheaply();
    return GivesMessages<P>;
  }

  /// Waits until `*deadline`, not at all where that is null.
  ReceivedBytes receive(P& port, const Deadline* deadline) {
    if constexpr (GivesBytes<P>) {
      return port.receive_bytes(deadline);
    } else if constexpr (GivesMessages<P>) {
      held_.reset();
      held_.emplace(Reading{&port, deadline});  // converted in place: no move
      return {held_->status(), held_->bytes()};
    } else {
      return {};
    }
  }

  void release(P& port) {
    if constexpr (GivesBytes<P>) {
      port.release_bytes();
    } else {
      held_.reset();
    }
  }

 private:
  struct Nothing {};
  template <typename T>
  struct MessageOf {
    using type = Nothing;
  };
  template <GivesMessages T>
  struct MessageOf<T> {
    using type = std::remove_cvref_t<decltype(std::declval<T&>().try_receive())>;
  };

  struct Reading {
    P* port;
    const Deadline* deadline;
    // NOLINTNEXTLINE(google-explicit-constructor): what emplace() makes its object from
    operator typename MessageOf<P>::type() const {
      if constexpr (GivesMessages<P>) {
        return deadline != nullptr ? port->receive_until(*deadline) : port->try_receive();
      } else {
        return {};
      }
    }
  };

  std::optional<typename MessageOf<P>::type> held_;
};

}  // namespace ipc
}  // namespace sluice

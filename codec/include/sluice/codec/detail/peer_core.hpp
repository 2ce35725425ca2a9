// What a Peer's templates ask of the part that isn't one. Implemented by src/live_peer.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "sluice/base/deadline.hpp"
#include "sluice/base/status.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/detail/observation.hpp"
#include "sluice/codec/frame.hpp"
#include "sluice/ipc/checkpoint/checkpoint.hpp"

namespace sluice::codec::detail {
class CallTable;  // not exported
}

#pragma GCC visibility push(default)

namespace sluice::codec::detail {

/// Why a call has no value.
struct CallFailure {
  std::error_code code;
  std::string text;
  std::optional<RemoteCode> remote;
};
/// Throws RemoteError or sluice::error.
[[noreturn]] void throw_failure(const CallFailure& failure);

/// A call in flight, owned by who waits for it or, after finish_later(), by the peer.
class PendingCall {
 public:
  PendingCall() = default;
  PendingCall(const PendingCall&) = delete;
  PendingCall& operator=(const PendingCall&) = delete;
  virtual ~PendingCall() = default;

  /// Decodes the value. Throws what is wrong with it. Called by the thread that runs the peer.
  virtual void take(std::span<const std::byte> value, Decoder& decoder) = 0;
  /// Called once it is done, if finish_later() was called.
  virtual void finished() = 0;

  CallFailure failure;  // meaningful once it is done

 private:
  friend class CallTable;
  std::uint64_t place_ = ~std::uint64_t{0};  // written by the table, under its lock, as the others
  bool done_ = false;
  bool being_taken_ = false;
  std::unique_ptr<PendingCall> self_;  // if the peer owns it
};

/// One end of a connection between peers. Thread-safety: any thread.
class PeerCore {
 public:
  PeerCore() = default;
  PeerCore(const PeerCore&) = delete;
  PeerCore& operator=(const PeerCore&) = delete;
  virtual ~PeerCore() = default;

  // Calls. begin() throws errc::bad_name, errc::timed_out (no room in the port), codec::errc::peer_ended.
  virtual void begin(PendingCall& call, std::string_view actor, std::string_view method,
                     std::span<const std::byte> arguments, Deadline deadline) = 0;
  /// begin() and finish() in one.
  virtual void call(PendingCall& call, std::string_view actor, std::string_view method,
                    std::span<const std::byte> arguments, Deadline deadline, const std::stop_token& stop) = 0;
  virtual void send(std::string_view actor, std::string_view method,
                    std::span<const std::byte> arguments) = 0;
  virtual bool done(const PendingCall& call) = 0;
  /// Whether it is done by the deadline. It goes on if it isn't.
  virtual bool wait(PendingCall& call, Deadline deadline) = 0;
  /// Waits until it is done, or gives it up: failure tells.
  virtual void finish(PendingCall& call, Deadline deadline, const std::stop_token& stop) = 0;
  virtual void finish_later(std::unique_ptr<PendingCall> call) = 0;
  virtual void drop(PendingCall& call) noexcept = 0;

  // Observing.
  virtual std::shared_ptr<Observation> observe(ObservationStart start) = 0;
  /// The next item, moved into `item`: ok; timed_out; closed, or the port's end: see ending().
  virtual Status next(Observation& observation, ArrivedItem& item, Deadline deadline) = 0;
  virtual void consumed(Observation& observation, const ArrivedItem& item) = 0;
  virtual void want_full(Observation& observation, const ArrivedItem& item) = 0;
  virtual void call_on_arrival(const std::shared_ptr<Observation>& observation,
                               base::MoveOnlyFunction<void()> call) = 0;
  /// Without `tell` the other side keeps the stream.
  virtual void unsubscribe(Observation& observation, bool tell) noexcept = 0;
  virtual std::optional<Verdict> verdict(const Observation& observation) = 0;
  virtual Ending ending(const Observation& observation) = 0;
  virtual StreamCheckpoint checkpoint(const Observation& observation) = 0;
};

}  // namespace sluice::codec::detail

#pragma GCC visibility pop

// One end of a connection between two programs that call each other and observe each other's states.
//
//   sluice::codec::Peer peer(sluice::connect("todos"));
//   auto number = peer.call<std::uint64_t>("todos", "add", "buy milk");
//   peer.send("log", "note", "added one");                              // no answer
//   for (const Todos& todos : peer.observe<Todos>("todos", "state")) draw(todos);
//
// Who runs it: start() makes a thread for that. Without it, whoever waits does: call(), next(), run_once(); or poll(),
// from somebody's event loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "sluice/base/deadline.hpp"
#include "sluice/codec/any_value.hpp"
#include "sluice/codec/call.hpp"
#include "sluice/codec/decode_options.hpp"
#include "sluice/codec/detail/pack_buffer.hpp"
#include "sluice/codec/detail/peer_core.hpp"
#include "sluice/codec/frame.hpp"
#include "sluice/codec/observe_options.hpp"
#include "sluice/codec/observed.hpp"
#include "sluice/codec/registry.hpp"
#include "sluice/ipc/port/any_port.hpp"

namespace sluice::codec {
class LivePeer;  // not exported
}

#pragma GCC visibility push(default)

namespace sluice::codec {

struct PeerOptions {
  /// What this side offers; nothing if null.
  const Registry* registry = nullptr;
  /// For every frame that comes. in_place: arguments of methods and values may be views into the peer's ring, valid
  /// until the method calls its peer back.
  DecodeOptions decode{};
  /// Names this client to the other side, which gives its streams to nobody else; a random one if all zero. A client
  /// that wants to resume streams after a restart keeps it (a stream's checkpoint has it).
  Id client{};
  /// Calls of this side in flight, but for those that the thread which runs the peer waits for itself: a further one
  /// waits. Calls of the other side's that are answered later: a further one is refused. 1 .. 2^31.
  std::size_t max_calls = 16'384;
  /// Streams that the other side may observe.
  std::size_t max_streams = 10'000;
  /// Answers that are kept because the other side doesn't read. If there are more bytes of them, this side stops
  /// reading, too; if that lasts for stall_timeout, it breaks off.
  std::size_t max_kept_bytes = std::size_t{16} << 20;
  Duration stall_timeout = std::chrono::seconds(30);
  /// Told what a send() of the other side's came to, if it failed. Called by the thread that runs the peer.
  std::function<void(const std::string& text)> on_send_failed{};
  /// Told once that the peer has ended, and why. Called by the thread that runs the peer or closes it. Must not throw.
  std::function<void(Status reason, const std::string& text)> on_end{};
};

/// Symmetric: either side serves, calls and observes. Owns its port. Movable. Thread-safety: any thread; methods and
/// callbacks run on the one that runs the peer, one at a time. They may call the other side back, and wait for it:
/// others run meanwhile, at most 16 within each other (then waiting throws errc::misuse).
///
/// Ends when the port does, when a side closes it, and when the other side breaks the protocol: then calls fail with
/// codec::errc::peer_ended, streams say why, and the streams that were served are kept for a client that comes back
/// (StateOptions::retention). In a forked child every call throws errc::misuse.
class Peer {
 public:
  /// Greets the other side. Throws errc::bad_option, and a system error if there are no random bytes.
  template <MessagePortLike P>
  explicit Peer(P port, const PeerOptions& options = {}) : Peer(AnyPort(std::move(port)), options) {}
  explicit Peer(AnyPort port, const PeerOptions& options = {});
  Peer(Peer&&) noexcept = default;
  Peer& operator=(Peer&& other) noexcept;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  /// Closes, and waits for the thread, unless it is this one. Methods and callbacks may do it, but not while this
  /// thread waits in call() or send() of the same peer.
  ~Peer();

  // Calls. Names as Actor's: errc::bad_name. Throw RemoteError (what the other side answered), or sluice::error:
  // timed_out, codec::errc::cancelled, peer_ended, and for an answer that is no R, codec::errc::wrong_type and so on.

  template <typename R = void, typename... Args>
  R call(std::string_view actor, std::string_view method, const Args&... arguments) {
    return call<R>(CallOptions{}, actor, method, arguments...);
  }
  template <typename R = void, typename... Args>
  R call(const CallOptions& options, std::string_view actor, std::string_view method,
         const Args&... arguments) {
    detail::PackBuffer packed;
    pack_arguments(packed, arguments...);
    detail::TypedCall<R> call;
    core().call(call, actor, method, packed.bytes(), deadline_of(options), options.stop);
    return call.get();
  }

  /// Doesn't wait for the answer. Waits while the port is full, or too many calls are in flight.
  template <typename R = void, typename... Args>
  Pending<R> call_async(std::string_view actor, std::string_view method, const Args&... arguments) {
    auto call = std::make_unique<detail::TypedCall<R>>();
    detail::PackBuffer packed;
    pack_arguments(packed, arguments...);
    core().begin(*call, actor, method, packed.bytes(), kNoDeadline);
    return {held(), std::move(call)};
  }

  /// A call without an answer, of any kind. Waits while the port is full.
  template <typename... Args>
  void send(std::string_view actor, std::string_view method, const Args&... arguments) {
    detail::PackBuffer packed;
    pack_arguments(packed, arguments...);
    core().send(actor, method, packed.bytes());
  }

  /// Observes a state: its present value comes first, then every change, as far as the options let them pass. Errors
  /// come through the stream. The stream may outlive the peer.
  template <typename T>
  Observed<T> observe(std::string_view actor, std::string_view state, const ObserveOptions& options = {}) {
    constexpr DeltaKind kKind = DeltaCodable<T> ? DeltaKind::own : DeltaKind::generic;
    return Observed<T>(held(), options.start(actor, state, kKind), decode_options());
  }
  /// Goes on with a stream from its checkpoint (Observed::checkpoint()); its verdict tells how far that was possible.
  template <typename T>
  Observed<T> resume(const StreamCheckpoint& checkpoint) {
    return Observed<T>(held(), ObserveOptions::resumption(checkpoint), decode_options());
  }

  // Running it.

  /// Handles what has come, without waiting. ok, or why the peer has ended.
  Status poll();
  /// Handles one frame; waits for it. ok, timed_out, or why the peer has ended.
  Status run_once(Deadline deadline = kNoDeadline);
  /// Until the peer has ended: why.
  Status run();
  /// Runs it on a thread of its own from now on.
  void start();

  /// Ends it for both sides. What was posted before is still delivered.
  void close() noexcept;
  bool is_open() const;
  /// ok, or why it has ended: the port's reason, or broken, if the other side broke the protocol.
  Status status() const;
  /// What was wrong, in words; empty if nothing was.
  std::string failure_text() const;
  /// See PeerOptions::client.
  Id client() const;

 private:
  template <typename... Args>
  static void pack_arguments(detail::PackBuffer& packed, const Args&... arguments) {
    packed.pack_array(arguments...);
  }
  static void pack_arguments(detail::PackBuffer& packed, const PackedArguments& arguments) {
    packed.pack(arguments.values);
  }
  LivePeer& live() const;
  detail::PeerCore& core() const;
  std::shared_ptr<detail::PeerCore> held() const;
  DecodeOptions decode_options() const;
  void finish() noexcept;

  std::shared_ptr<LivePeer> live_;
};

}  // namespace sluice::codec

#pragma GCC visibility pop

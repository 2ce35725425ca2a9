// One end of a connection between peers: takes frames from the port, and puts them where they belong.
//
// One thread at a time runs it (the runner): the one of start(), or whoever waits for something. The others wait for
// the runner's progress; when it leaves, one of them takes over. Methods and callbacks run on the runner, without a
// lock. A method that calls the other side back runs the peer itself, one level deeper.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "call_table.hpp"
#include "open_replies.hpp"
#include "outbox.hpp"
#include "registry_state.hpp"
#include "served_stream.hpp"
#include "sluice/base/deadline.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/detail/peer_core.hpp"
#include "sluice/codec/peer.hpp"
#include "ticker.hpp"

namespace sluice::codec {

class LivePeer final : public detail::PeerCore,
                       public StreamLink,
                       public ReplyLink,
                       public std::enable_shared_from_this<LivePeer> {
 public:
  LivePeer(AnyPort port, const PeerOptions& options, std::shared_ptr<detail::RegistryState> registry);
  ~LivePeer() override;
  /// Greets the other side. Once, before anything else.
  void open();

  // Running.
  Status poll();
  Status run_once(Deadline deadline);
  Status run();
  void start();
  /// Ends it, and waits for its threads.
  void shut_down() noexcept;
  void close() noexcept { end(Status::closed, {}); }
  Status status() const;
  std::string failure_text() const;
  const PeerOptions& options() const noexcept { return options_; }
  bool inherited() const noexcept { return owner.inherited(); }

  const base::OwnerProcess owner;

  // As a PeerCore.
  void begin(detail::PendingCall& call, std::string_view actor, std::string_view method,
             std::span<const std::byte> arguments, Deadline deadline) override;
  void call(detail::PendingCall& call, std::string_view actor, std::string_view method,
            std::span<const std::byte> arguments, Deadline deadline, const std::stop_token& stop) override;
  void send(std::string_view actor, std::string_view method, std::span<const std::byte> arguments) override;
  bool done(const detail::PendingCall& call) override;
  bool wait(detail::PendingCall& call, Deadline deadline) override;
  void finish(detail::PendingCall& call, Deadline deadline, const std::stop_token& stop) override;
  void finish_later(std::unique_ptr<detail::PendingCall> call) override;
  void drop(detail::PendingCall& call) noexcept override;
  std::shared_ptr<detail::Observation> observe(detail::ObservationStart start) override;
  Status next(detail::Observation& observation, detail::ArrivedItem& item, Deadline deadline) override;
  void consumed(detail::Observation& observation, const detail::ArrivedItem& item) override;
  void want_full(detail::Observation& observation, const detail::ArrivedItem& item) override;
  void call_on_arrival(const std::shared_ptr<detail::Observation>& observation,
                       base::MoveOnlyFunction<void()> call) override;
  void unsubscribe(detail::Observation& observation, bool tell) noexcept override;
  std::optional<Verdict> verdict(const detail::Observation& observation) override;
  detail::Ending ending(const detail::Observation& observation) override;
  StreamCheckpoint checkpoint(const detail::Observation& observation) override;

  // As the link of streams and replies.
  Status try_post(std::span<const std::byte> head, std::span<const std::byte> body) override;
  void post(std::span<const std::byte> head) override;
  void tick_at(const std::shared_ptr<ServedStream>& stream, Deadline when) override;
  void answer(const Id& call, std::span<const std::byte> value) noexcept override;
  void answer_error(const Id& call, RemoteCode code, std::string_view text) noexcept override;

 private:
  using Lock = std::unique_lock<std::mutex>;
  /// What the runner needs for one frame; a deeper level has its own.
  struct Level {
    explicit Level(const DecodeOptions& decode) : decoder(decode) {}
    std::vector<std::byte> copy{};
    Decoder decoder;
  };

  // live_peer.cpp
  /// Waits until `ready()`, which is called with the lock held; runs the peer if nobody else does. False at the
  /// deadline, or if a stop is requested.
  template <typename Ready>
  bool run_until(Ready ready, Deadline deadline, const std::stop_token& stop = {});
  /// As the runner: takes frames until `ready()`, which is called without the lock, or until the peer has ended.
  template <typename Ready>
  bool take_frames(Ready ready, Deadline deadline, const std::stop_token& stop);
  bool may_run(std::thread::id self) const noexcept;
  void tell_waiters() noexcept;
  void wait_for_runner(Deadline deadline, Lock& lock);
  static Deadline next_look(Deadline deadline, const std::stop_token& stop);
  static bool is_late(Deadline deadline);
  Status step(Deadline deadline);
  Status wait_for_reader(Deadline deadline);
  void deliver_kept() noexcept;
  void end(Status status, const std::string& text) noexcept;
  void greet(bool answers);
  void calls_are_over(const std::string& text) noexcept;
  void serve_no_longer() noexcept;
  void observe_again();
  void ask_again(detail::Observation& observation);
  Id add_call(detail::PendingCall& call, Deadline deadline, Lock& lock);
  void post_call(detail::PendingCall& call, const Id& id, std::string_view actor, std::string_view method,
                 std::span<const std::byte> arguments, Deadline deadline);
  void give_up(detail::PendingCall& call, const std::stop_token& stop);
  Status post_request(std::span<const std::byte> head, std::span<const std::byte> body, Deadline deadline);
  void posted() noexcept;
  void tick() noexcept;
  void take_pushed(std::span<const std::byte> message);

  // live_peer_frames.cpp
  void handle(std::span<const std::byte> message);
  void handle_frame(FrameKind kind, FrameReader& frame, Level& level);
  /// Whether the runner itself waits for this call at the deepest level.
  bool awaits(const Id& call) const noexcept;
  void handle_hello(std::uint64_t items, FrameReader& frame);
  void handle_call(FrameReader& frame, Level& level);
  void handle_send(FrameReader& frame, Level& level);
  void handle_stream_start(FrameReader& frame);
  void handle_stream_resume(FrameReader& frame);
  void handle_verdict(FrameReader& frame);
  void handle_data(FrameReader& frame);
  void handle_stream_ending(FrameKind kind, FrameReader& frame);
  std::shared_ptr<detail::Method> find_method(std::string_view actor, std::string_view method,
                                              RemoteCode& why);
  void give_back(std::shared_ptr<detail::Method> method, std::uint64_t generation, std::string_view actor,
                 std::string_view name);
  void serve_stream(const Id& id, std::string_view actor, std::string_view state,
                    std::span<const std::byte> options, const Id* restarted);
  std::shared_ptr<ServedStream> served(const Id& id);
  void arrived(const std::shared_ptr<detail::Observation>& observation) noexcept;
  void break_off(const std::string& text) noexcept;

  AnyPort port_;
  const bool pulls_;  // messages are asked for
  const PeerOptions options_;
  const std::shared_ptr<detail::RegistryState> registry_;
  Outbox outbox_;
  OpenReplies replies_;

  mutable std::mutex mutex_;
  std::condition_variable progress_;
  // Threads that wait for the runner. Written under mutex_, read by the runner without it, relaxed: what such a thread
  // waits for happens under mutex_, so the runner has seen the number of a thread that looked before.
  std::atomic<unsigned> waiters_{0};
  std::atomic<std::uint64_t> handled_{0};  // frames; relaxed: a count
  std::atomic<bool> ended_{false};         // status_ isn't ok; relaxed: publishes nothing
  // Guarded by mutex_.
  std::thread::id runner_{};
  std::optional<std::thread> thread_;
  Status status_ = Status::ok;
  std::string failure_text_;
  detail::CallTable calls_;
  std::map<Id, std::shared_ptr<detail::Observation>> observed_;

  std::mutex served_mutex_;  // guards served_; no other lock is taken meanwhile
  std::map<Id, std::shared_ptr<ServedStream>> served_;
  Ticker ticker_;

  /// A call that the runner itself waits for. No other thread knows of it but through the table, so its answer is taken
  /// without the lock.
  struct Awaited {
    detail::PendingCall& call;
    Id id;
    Awaited* outer = nullptr;  // that of the method which made this call
    bool answered = false;
  };

  // The runner's.
  Awaited* awaited_ = nullptr;  // of the deepest level
  std::deque<Level> levels_;
  std::size_t depth_ = 0;
  bool greeted_ = false;
  Id other_client_{};
  std::uint64_t other_minor_ = 0;
  std::shared_ptr<const detail::ActorTable> actors_;
  // The last call's target, which the next one may well name again.
  std::string last_actor_;
  std::string last_method_;
  std::shared_ptr<detail::Method> last_found_;
  std::uint64_t generation_ = 0;
  Deadline stalled_since_ = kNoDeadline;
  std::size_t stalled_bytes_ = 0;
};

}  // namespace sluice::codec

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
#include "method_finder.hpp"
#include "open_replies.hpp"
#include "outbox.hpp"
#include "registry_state.hpp"
#include "served_stream.hpp"
#include "sluice/base/deadline.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/detail/peer_core.hpp"
#include "sluice/codec/frame_io.hpp"
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
  std::size_t served_streams() const noexcept { return served_count_.load(std::memory_order_relaxed); }
  std::size_t kept_bytes() const noexcept { return outbox_.kept_bytes(); }
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
  bool is_over() const noexcept override { return ended_.load(std::memory_order_relaxed); }
  Status try_post(std::span<const std::byte> head, std::span<const std::byte> body) override;
  void post(std::span<const std::byte> head) override;
  bool ring_holds(std::size_t bytes) const noexcept override;
  void recall(const Id& stream, const TakeSent& take) const override;
  void tick_at(const std::shared_ptr<ServedStream>& stream, Deadline when) override;
  void tick_no_more(const ServedStream& stream) noexcept override { ticker_.remove(stream); }
  void answer(const Id& call, std::span<const std::byte> value) noexcept override;
  void answer_error(const Id& call, RemoteCode code, std::string_view text) noexcept override;

 private:
  using Lock = std::unique_lock<std::mutex>;
  /// The deepest that methods and callbacks may run within each other, as they do while they wait.
  static constexpr std::size_t kDeepestCall = 16;
  /// What the runner needs for one frame; a deeper level has its own.
  struct Level {
    explicit Level(const DecodeOptions& decode) : decoder(decode) {}
    std::vector<std::byte> copy{};
    Decoder decoder;
    MethodFinder finder{};
  };
  /// While it lives, this thread runs the peer; false if another one does, or the port pushes its messages.
  class Turn {
   public:
    explicit Turn(LivePeer& peer) noexcept;
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() { leave(); }
    explicit operator bool() const noexcept { return taken_; }
    /// Early. Without the lock.
    void leave() noexcept;

   private:
    LivePeer& peer_;
    std::thread::id before_{};  // nobody; or this thread, one level up
    bool taken_ = false;
  };
  /// A call that the runner itself waits for. It isn't in the table, since no other thread knows of it: its answer is
  /// taken without the lock.
  struct Awaited {
    Awaited(LivePeer& peer, detail::PendingCall& waiting) noexcept;
    Awaited(const Awaited&) = delete;
    Awaited& operator=(const Awaited&) = delete;
    ~Awaited() { innermost = outer; }

    detail::PendingCall& call;
    const Id id;
    Awaited*& innermost;
    Awaited* const outer;  // that of the method which made this call
    bool answered = false;
  };

  /// What a stream_start or stream_resume frame asks for.
  struct StreamRequest {
    Id asked;  ///< the stream's id
    std::string_view actor;
    std::string_view state;
    std::span<const std::byte> options;
  };
  /// What the observer has.
  struct ResumePoint {
    std::uint64_t last;
    std::uint64_t place;
    StreamTicket ticket;
  };

  // Running: live_peer.cpp, live_peer_running.hpp.
  /// Waits until `ready()`, which is called with the lock held; runs the peer if nobody else does. False at the
  /// deadline, or if a stop is requested.
  template <typename Ready>
  bool run_until(Ready ready, Deadline deadline, const std::stop_token& stop = {});
  /// As the runner: takes frames until `ready()`, which is called without the lock, or until the peer has ended.
  template <typename Ready>
  bool take_frames(Ready ready, Deadline deadline, const std::stop_token& stop);
  void tell_waiters() noexcept;
  void wait_for_runner(Deadline deadline, Lock& lock);
  static Deadline next_look(Deadline deadline, const std::stop_token& stop);
  static bool is_late(Deadline deadline);
  bool runs_too_deep() const noexcept;
  [[noreturn]] static void refuse_to_wait();
  Status step(Deadline deadline);
  Status wait_for_reader(Deadline deadline);
  void take_pushed(std::span<const std::byte> message);
  void count_handled() noexcept;
  void deliver_kept() noexcept;
  void end(Status status, const std::string& text) noexcept;
  void serve_no_longer() noexcept;
  void leave(const std::shared_ptr<ServedStream>& stream) noexcept;
  void greet(bool answers);
  Status post_request(std::span<const std::byte> head, std::span<const std::byte> body, Deadline deadline);
  void posted() noexcept;
  void tick() noexcept;

  // Frames, and the streams that are served: live_peer_frames.cpp.
  void handle(std::span<const std::byte> message);
  void handle_frame(FrameKind kind, FrameReader& frame, Level& level);
  void handle_hello(std::uint64_t items, FrameReader& frame);
  void handle_stream_start(FrameReader& frame);
  void handle_stream_resume(FrameReader& frame);
  void break_off(const std::string& text) noexcept;
  void break_off_by_exception() noexcept;
  void refuse_stream(const Id& asked, RemoteCode code, std::string_view text);
  std::shared_ptr<detail::StateHub> find_state(const StreamRequest& request);
  std::shared_ptr<ServedStream> add_stream(const StreamRequest& request, const Id& id,
                                           const std::shared_ptr<detail::StateHub>& hub);
  void count_served() noexcept { served_count_.store(served_.size(), std::memory_order_relaxed); }
  void drop_stream(ServedStream& stream) noexcept;
  void start_stream(const StreamRequest& request, const Id& id);
  bool resume_kept(const std::shared_ptr<ServedStream>& stream, std::uint64_t last);
  bool resume_from_journal(const StreamRequest& request, const ResumePoint& point);
  std::shared_ptr<ServedStream> served(const Id& id);

  // Calls: live_peer_calls.cpp.
  void post_call(const Id& id, std::string_view actor, std::string_view method,
                 std::span<const std::byte> arguments, Deadline deadline);
  void post_cancel(const Id& id) noexcept;
  /// The call of that id, if the runner itself waits for it.
  Awaited* awaited(const Id& call) const noexcept;
  void calls_are_over(const std::string& text) noexcept;
  void handle_call(FrameReader& frame, Level& level);
  void handle_send(FrameReader& frame, Level& level);

  // Observing: live_peer_observing.cpp.
  void observe_again();
  void ask_again(detail::Observation& observation);
  void arrived(const std::shared_ptr<detail::Observation>& observation) noexcept;
  void handle_verdict(FrameReader& frame);
  void handle_data(FrameReader& frame);
  void handle_stream_ending(FrameKind kind, FrameReader& frame);

  AnyPort port_;
  const bool pulls_;                // messages are asked for
  const std::uint64_t ring_bytes_;  // of the ring that this side sends through; 0: there is none
  const PeerOptions options_;
  const std::shared_ptr<detail::RegistryState> registry_;
  Outbox outbox_;
  OpenReplies replies_;

  mutable std::mutex mutex_;
  std::condition_variable progress_;
  // The thread that runs the peer. Acquire and release hand the runner's members over.
  std::atomic<std::thread::id> runner_{};
  // Threads that wait for the runner, written under mutex_. That it runs no longer must not be missed: it stores
  // runner_ and then loads this, such a thread the other way round, all sequentially consistent. What else one waits
  // for happens under mutex_, so the runner has seen the number of a thread that looked before: relaxed.
  std::atomic<unsigned> waiters_{0};
  std::atomic<std::uint64_t> handled_{0};  // frames, counted by the runner; relaxed: a count
  // status_ isn't ok. Relaxed: publishes nothing. A stream that is attached afterwards sees it: whoever has detached it,
  // or looked for it in served_, has held the same lock before.
  std::atomic<bool> ended_{false};
  // Guarded by mutex_.
  std::optional<std::thread> thread_;
  Status status_ = Status::ok;
  std::string failure_text_;
  detail::CallTable calls_;
  std::map<Id, std::shared_ptr<detail::Observation>> observed_;

  std::mutex served_mutex_;  // guards served_; no other lock is taken meanwhile
  std::map<Id, std::shared_ptr<ServedStream>> served_;
  // How many they are; written under the lock. Relaxed: decides about a copy, publishes nothing.
  std::atomic<std::size_t> served_count_{0};
  Ticker ticker_;

  // The runner's.
  Awaited* awaited_ = nullptr;  // of the deepest level
  Id next_awaited_ = random_id();
  std::vector<std::unique_ptr<Level>> levels_;
  std::size_t depth_ = 0;
  bool greeted_ = false;
  Id other_client_{};
  std::uint64_t other_minor_ = 0;
  Deadline stalled_since_ = kNoDeadline;
  std::size_t stalled_bytes_ = 0;
};

}  // namespace sluice::codec

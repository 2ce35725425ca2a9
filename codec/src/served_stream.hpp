// One stream of a state's values, at the serving side.
//
// A value that the filter passes gets the next sequence number when it can no longer be replaced: at once if every
// value counts (SlowPolicy::block) or if the observer is away, else when there is credit to send it. Numbered items
// stay in a ring of the last few, so that a stream can be resumed.
//
//   oldest item kept        posted            numbered
//   |  could be replayed    |  waits for credit, or for room in the port
//   +-----------------------+-----------------+   the newest value, not numbered yet
//
// If the ring of the stream's port surely still has an item that was posted, the value isn't kept here: it is read back
// when the connection ends.
//
// The stream of a state with a journal is resumed from that instead: it reads the values behind the last one that its
// observer has, as there is credit, until it has come to the present.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "journal_replay.hpp"
#include "numbering.hpp"
#include "sluice/base/deadline.hpp"
#include "sluice/base/status.hpp"
#include "sluice/codec/delta_stream.hpp"
#include "sluice/codec/detail/observation.hpp"
#include "sluice/codec/detail/state_hub.hpp"
#include "sluice/codec/frame.hpp"
#include "sluice/codec/frame_io.hpp"
#include "sluice/codec/packed_value.hpp"
#include "stream_options.hpp"

namespace sluice::codec {

class ServedStream;

FrameHead verdict_frame(const Id& stream, const Verdict& verdict, const StreamTicket& ticket);
FrameHead stream_error_frame(const Id& stream, RemoteCode code, std::string_view text);

/// The connection that a stream is sent on. Called with the stream's lock held; calls no stream meanwhile.
class StreamLink {
 public:
  StreamLink() = default;
  StreamLink(const StreamLink&) = delete;
  StreamLink& operator=(const StreamLink&) = delete;
  virtual ~StreamLink() = default;

  /// From then on it detaches its streams.
  virtual bool is_over() const noexcept = 0;
  virtual Status try_post(std::span<const std::byte> head, std::span<const std::byte> body) = 0;
  virtual void post(std::span<const std::byte> head) = 0;
  /// Whether what was sent stays in the connection's ring until so many bytes more were sent.
  virtual bool ring_holds(std::size_t bytes) const noexcept = 0;
  /// Calls `take` with each whole value of the stream that the ring still has, the oldest first.
  using TakeSent =
      std::function<void(std::uint64_t sequence, std::int64_t time_ns, std::span<const std::byte> value)>;
  virtual void recall(const Id& stream, const TakeSent& take) const = 0;
  /// Calls the stream's tick() at that time, or somewhat later.
  virtual void tick_at(const std::shared_ptr<ServedStream>& stream, Deadline when) = 0;
  /// It has been let go, or has another link.
  virtual void tick_no_more(const ServedStream& stream) noexcept = 0;
};

/// Thread-safety: any thread. Locks: the hub's before the stream's before the link's.
class ServedStream final : public detail::StateSink, public std::enable_shared_from_this<ServedStream> {
 public:
  ServedStream(const Id& id, const Id& client, std::string actor, std::string state,
               std::shared_ptr<detail::StateHub> hub, const StreamOptions& options);

  const Id& id() const noexcept { return id_; }
  const Id& client() const noexcept { return client_; }
  const std::string& actor() const noexcept { return actor_; }
  const std::string& state() const noexcept { return state_; }
  detail::StateHub& hub() const noexcept { return *hub_; }

  // As a sink of the hub's.
  bool offer(const SharedValue& value, std::uint64_t place, Deadline now) override;
  bool unsettled() const noexcept override;
  void settle(Deadline give_up) noexcept override;
  void end() noexcept override { end(StreamEnd::actor_terminated); }

  /// Sends on this link from now on. The hub's lock must not be held.
  void start(StreamLink& link);
  /// The same for a stream that exists: says which verdict, and sends what follows from it. False if the stream can't
  /// know the item `last`, or has ended: it has to be restarted.
  bool resume(StreamLink& link, std::uint64_t last);
  /// The same for one that isn't started: goes on from the journal of its state, behind the item `last`, whose value is
  /// at `place`. False if that is no place of the journal. Throws what the journal throws.
  bool resume_from_journal(StreamLink& link, const StreamTicket& ticket, std::uint64_t last,
                           std::uint64_t place);
  /// The link is gone; the stream is kept for the retention time. Nothing if it is on another link already.
  void detach(const StreamLink& link) noexcept;

  /// The observer takes items up to this sequence.
  void grant(std::uint64_t up_to);
  /// The observer can't apply deltas on what it has.
  void want_full();
  /// Sends what can be sent now.
  void tick(Deadline now);
  void end(StreamEnd reason) noexcept;
  /// The same, but the observer isn't told: it has another connection, or none.
  void abandon() noexcept;

  bool is_over() const noexcept;
  /// Whether it has been without a link since then.
  bool detached_since(Deadline when) const noexcept;

 private:
  using Lock = std::unique_lock<std::mutex>;

  // All with mutex_ held.
  std::size_t capacity() const noexcept;
  StreamItem& item(std::uint64_t sequence) noexcept;
  std::uint64_t oldest() const noexcept;
  bool may_send(std::uint64_t sequence) const noexcept { return link_ != nullptr && sequence <= allowed_; }
  bool full() const noexcept;
  /// Whether a pending value gets its number now, and can't be replaced any more.
  bool settles() const noexcept;
  void keep(StreamItem item);
  void pump(Deadline now);
  /// Gives the value that waits its number, or reads on in the journal. False if there is nothing more to do now.
  bool number(Deadline now);
  bool replay();
  bool fall_behind();
  bool send(std::uint64_t sequence);
  bool is_held_elsewhere(const StreamItem& sent) const noexcept;
  void recall() noexcept;
  bool has_all_from(std::uint64_t first) noexcept;
  void attach(StreamLink& link) noexcept;
  void say_verdict(const Verdict& verdict);
  void fail(RemoteCode code, std::string_view text);
  void let_go() noexcept;

  const Id id_;
  const Id client_;
  const std::string actor_;
  const std::string state_;
  const std::shared_ptr<detail::StateHub> hub_;
  const StreamOptions options_;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable room_;
  StreamLink* link_ = nullptr;
  bool over_ = false;
  Deadline detached_at_{};
  // A ring: the item with sequence s is at (s - 1 - begun_) % capacity(). Without its value once that is held elsewhere.
  std::vector<StreamItem> items_;
  std::optional<DeltaStreamManager> deltas_;
  Numbering numbering_;
  std::unique_ptr<JournalReplay> replay_;  // while the stream hasn't come to the present
  StreamTicket ticket_;
  std::uint64_t begun_ = 0;  // the number before the first item of this object
  std::uint64_t place_ = 0;  // up to there the journal is dealt with
  std::uint64_t numbered_ = 0;
  std::uint64_t posted_ = 0;
  std::uint64_t allowed_ = 0;
};

}  // namespace sluice::codec

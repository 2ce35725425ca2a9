#include "served_stream.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <string>
#include <utility>

#include "inside_peer.hpp"

namespace sluice::codec {
namespace {

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// When to try again to send what the port had no room for.
constexpr auto kRetry = std::chrono::milliseconds(1);

/// A last item beyond it isn't one that was ever sent.
constexpr std::uint64_t kLastNumber = std::uint64_t{1} << 62U;

}  // namespace

FrameHead verdict_frame(const Id& stream, const Verdict& verdict, const StreamTicket& ticket) {
  FrameHead head(FrameKind::stream_verdict, 7);
  head.id(stream).number(static_cast<std::uint64_t>(verdict.kind)).number(verdict.first).number(verdict.last);
  head.number(ticket.start).id(ticket.seal);
  return head;
}

FrameHead stream_error_frame(const Id& stream, RemoteCode code, std::string_view text) {
  FrameHead head(FrameKind::stream_error, 4);
  head.id(stream).number(static_cast<std::uint64_t>(code)).text(text);
  return head;
}

ServedStream::ServedStream(const Id& id, const Id& client, std::string actor, std::string state,
                           std::shared_ptr<detail::StateHub> hub, const StreamOptions& options)
    : id_(id),
      client_(client),
      actor_(std::move(actor)),
      state_(std::move(state)),
      hub_(std::move(hub)),
      options_(options),
      numbering_(options.filter, options.delta == hub_->delta_kind()) {
  if (options.delta && *options.delta == hub_->delta_kind()) deltas_.emplace(*options.delta);
}

std::size_t ServedStream::capacity() const noexcept {
  return std::max<std::size_t>(hub_->options().retained_items, 1);
}

StreamItem& ServedStream::item(std::uint64_t sequence) noexcept {
  return items_[(sequence - 1 - begun_) % capacity()];
}

std::uint64_t ServedStream::oldest() const noexcept {
  return numbered_ - items_.size() + 1;
}

bool ServedStream::full() const noexcept {
  return link_ != nullptr && options_.slow == SlowPolicy::block && numbered_ - posted_ >= capacity();
}

bool ServedStream::is_over() const noexcept {
  const Lock lock(mutex_);
  return over_;
}

bool ServedStream::detached_since(Deadline when) const noexcept {
  const Lock lock(mutex_);
  return link_ == nullptr && detached_at_ <= when;
}

bool ServedStream::settles() const noexcept {
  return link_ == nullptr || options_.slow == SlowPolicy::block || may_send(numbered_ + 1);
}

/// Gives it the next number.
void ServedStream::keep(StreamItem item) {
  if (item.time_ns == 0) item.time_ns = now_ns();
  ++numbered_;
  if (items_.size() < capacity()) {
    items_.push_back(std::move(item));
  } else {
    this->item(numbered_) = std::move(item);
  }
}

bool ServedStream::offer(const SharedValue& value, std::uint64_t place, Deadline now) {
  const Lock lock(mutex_);
  if (over_ || (link_ == nullptr && now - detached_at_ >= hub_->options().retention)) {
    let_go();
    return false;
  }
  if (replay_ || (place != 0 && place <= place_)) return true;  // it comes from the journal, or did
  numbering_.offer({value, 0, place}, now);
  pump(now);
  return !over_;
}

void ServedStream::pump(Deadline now) {
  for (;;) {
    if (link_ != nullptr && posted_ < numbered_) {
      if (may_send(posted_ + 1) && send(posted_ + 1)) continue;
      if (options_.slow == SlowPolicy::conflate || !numbering_.waiting()) return;
    }
    if (replay_ ? !replay() : !number(now)) return;
  }
}

bool ServedStream::number(Deadline now) {
  if (!numbering_.waiting() || !settles()) return false;
  if (numbering_.due() > now) {
    if (link_ != nullptr) link_->tick_at(shared_from_this(), numbering_.due());
    return false;
  }
  if (full() && !fall_behind()) {
    fail(RemoteCode::too_slow, "the observer takes no more values");
    return false;
  }
  if (replay_) return true;
  if (auto item = numbering_.take(now)) keep(std::move(*item));
  return true;
}

/// With a journal a slow observer holds up nobody: what it doesn't take yet is read again later.
bool ServedStream::fall_behind() {
  if (hub_->journal() == nullptr) return false;
  const std::uint64_t behind = numbering_.place() - 1;
  numbering_.drop();
  replay_ = std::make_unique<JournalReplay>(*hub_->journal(), behind, numbering_);
  return true;
}

bool ServedStream::replay() {
  if (!may_send(numbered_ + 1)) return false;
  try {
    if (auto item = replay_->next()) {
      keep(std::move(*item));
    } else {
      numbering_ = std::move(replay_->numbering());
      place_ = replay_->place();
      replay_.reset();
    }
    return true;
  } catch (const std::exception& failure) {
    fail(RemoteCode::failed, failure.what());
    return false;
  }
}

bool ServedStream::send(std::uint64_t sequence) {
  StreamItem& sent = item(sequence);
  std::optional<EncodedValue> encoded;
  if (deltas_) encoded = deltas_->encode(sent.value, sequence);
  if (!encoded) encoded.emplace(sent.value);
  FrameHead head(FrameKind::stream_data, 8);
  head.id(id_).number(sequence).number(static_cast<std::uint64_t>(sent.time_ns)).number(sent.place);
  head.number(static_cast<std::uint64_t>(encoded->form)).number(encoded->base);
  const Status posted = link_->try_post(head.bytes(), encoded->bytes());
  if (posted != Status::ok && deltas_) deltas_->reset();
  switch (posted) {
    case Status::ok:
      posted_ = sequence;
      if (is_held_elsewhere(sent)) sent.value.reset();
      room_.notify_all();
      return true;
    case Status::would_block:
      link_->tick_at(shared_from_this(), std::chrono::steady_clock::now() + kRetry);
      return false;
    case Status::too_large:
      fail(RemoteCode::too_large,
           "a value of " + std::to_string(sent.value->bytes().size()) + " bytes doesn't fit into the port");
      return false;
    default:
      return false;  // the port has ended: its peer will detach us
  }
}

/// Whether the value of an item that was sent can be had again without this copy of it. (Deltas begin with the value
/// itself, and what was sent may be a delta.)
bool ServedStream::is_held_elsewhere(const StreamItem& sent) const noexcept {
  if (deltas_) return false;
  return hub_->journal() != nullptr || link_->ring_holds(capacity() * sent.value->bytes().size());
}

/// Fetches the values of items that only the ring has. What it doesn't have any more stays away.
void ServedStream::recall() noexcept {
  const auto is_away = [](const StreamItem& item) { return item.value == nullptr; };
  if (hub_->journal() != nullptr || link_ == nullptr || std::ranges::none_of(items_, is_away)) return;
  try {
    link_->recall(id_, [&](std::uint64_t sequence, std::int64_t time_ns, std::span<const std::byte> value) {
      if (sequence < oldest() || sequence > numbered_) return;
      StreamItem& sent = item(sequence);
      if (!is_away(sent) || sent.time_ns != time_ns) return;  // or it is of an older stream with this id
      sent.value = std::make_shared<const PackedValue>(std::vector<std::byte>(value.begin(), value.end()));
    });
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then it stays away, too
  }
}

/// Whether it can send this item and all that follow.
bool ServedStream::has_all_from(std::uint64_t first) noexcept {
  if (first < oldest()) return false;
  for (; first <= numbered_; ++first)
    if (item(first).value == nullptr) return false;
  return true;
}

void ServedStream::say_verdict(const Verdict& verdict) {
  if (link_ != nullptr) link_->post(verdict_frame(id_, verdict, ticket_).bytes());
}

/// A link that is over may have detached its streams already.
void ServedStream::attach(StreamLink& link) noexcept {
  link_ = link.is_over() ? nullptr : &link;
}

void ServedStream::start(StreamLink& link) {
  {
    const Lock lock(mutex_);
    attach(link);
    allowed_ = options_.credit;
  }
  hub_->add(shared_from_this());
}

bool ServedStream::resume(StreamLink& link, std::uint64_t last) {
  return hub_->look([&](const SharedValue& present) {
    const Lock lock(mutex_);
    const Deadline now = std::chrono::steady_clock::now();
    if (over_ || last > numbered_) return false;
    recall();
    attach(link);
    if (deltas_) deltas_->reset();
    allowed_ = last + options_.credit;
    if (has_all_from(last + 1)) {
      posted_ = last;
      say_verdict({StreamVerdict::resumed, last + 1, numbered_});
    } else {
      posted_ = numbered_;
      allowed_ = numbered_ + options_.credit;
      say_verdict({StreamVerdict::gap, last + 1, numbered_});
      numbering_.pass_next();
      numbering_.offer({present, 0, 0}, now);
    }
    pump(now);
    return true;
  });
}

bool ServedStream::resume_from_journal(StreamLink& link, const StreamTicket& ticket, std::uint64_t last,
                                       std::uint64_t place) {
  StateJournal& journal = *hub_->journal();
  const std::uint64_t oldest = journal.oldest();
  const std::uint64_t newest = journal.next() - 1;
  if (last > kLastNumber || place < ticket.start || place > newest) return false;
  if (place / kJournalRange != newest / kJournalRange) return false;
  Verdict verdict{StreamVerdict::gap, last + 1, last + (newest - place)};
  std::unique_ptr<JournalReplay> replay;
  const bool compares = options_.filter.spec() != nullptr || deltas_;  // with the value that the observer has
  const bool has_item = compares && place > ticket.start;
  if (oldest <= (has_item ? place : place + 1)) {
    replay = std::make_unique<JournalReplay>(journal, place, numbering_);
    if (has_item) replay->follow_last();
    verdict.kind = StreamVerdict::resumed;
    if (compares) verdict.last = last + replay->count_until(newest);
  }
  {
    const Lock lock(mutex_);
    attach(link);
    ticket_ = ticket;
    begun_ = numbered_ = posted_ = replay ? last : verdict.last;
    allowed_ = numbered_ + options_.credit;
    replay_ = std::move(replay);
    if (!replay_) numbering_.pass_next();
    say_verdict(verdict);
  }
  hub_->add(shared_from_this());
  tick(std::chrono::steady_clock::now());
  return true;
}

void ServedStream::detach(const StreamLink& link) noexcept {
  const Lock lock(mutex_);
  if (link_ != &link) return;
  recall();
  link_->tick_no_more(*this);
  link_ = nullptr;
  detached_at_ = std::chrono::steady_clock::now();
  pump(detached_at_);  // what waits for credit gets its number
  room_.notify_all();
}

void ServedStream::grant(std::uint64_t up_to) {
  const Lock lock(mutex_);
  allowed_ = std::max(allowed_, std::min(up_to, numbered_ + kMaxCredit));
  pump(std::chrono::steady_clock::now());
}

void ServedStream::want_full() {
  const Lock lock(mutex_);
  if (!deltas_ || over_ || items_.empty()) return;
  deltas_->reset();
  if (posted_ != numbered_ || numbering_.waiting()) return;  // a full value comes anyway
  StreamItem again = item(numbered_);
  again.time_ns = 0;
  keep(std::move(again));
  pump(std::chrono::steady_clock::now());
}

void ServedStream::tick(Deadline now) {
  const Lock lock(mutex_);
  pump(now);
}

bool ServedStream::unsettled() const noexcept {
  const Lock lock(mutex_);
  return full() && hub_->journal() == nullptr;
}

void ServedStream::settle(Deadline give_up) noexcept {
  if (InsidePeer::here()) return;
  Lock lock(mutex_);
  if (!room_.wait_until(lock, give_up, [&] { return !full(); }))
    fail(RemoteCode::too_slow, "the observer took nothing for too long");
}

void ServedStream::fail(RemoteCode code, std::string_view text) {
  if (link_ != nullptr) link_->post(stream_error_frame(id_, code, text).bytes());
  let_go();
}

void ServedStream::end(StreamEnd reason) noexcept {
  const Lock lock(mutex_);
  if (link_ != nullptr && !over_) {
    FrameHead head(FrameKind::stream_end, 3);
    head.id(id_).number(static_cast<std::uint64_t>(reason));
    link_->post(head.bytes());
  }
  let_go();
}

void ServedStream::abandon() noexcept {
  const Lock lock(mutex_);
  let_go();
}

/// Nothing is sent any more, and nothing kept.
void ServedStream::let_go() noexcept {
  over_ = true;
  if (link_ != nullptr) link_->tick_no_more(*this);
  link_ = nullptr;
  numbering_.drop();
  replay_.reset();
  items_.clear();
  items_.shrink_to_fit();
  posted_ = numbered_;
  room_.notify_all();
}

}  // namespace sluice::codec

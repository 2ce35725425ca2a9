#include "served_stream.hpp"

#include <algorithm>
#include <chrono>
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

bool same_bytes(const SharedValue& one, const SharedValue& other) {
  return one == other || std::ranges::equal(one->bytes(), other->bytes());
}

}  // namespace

FrameHead verdict_frame(const Id& stream, const Verdict& verdict) {
  FrameHead head(FrameKind::stream_verdict, 5);
  head.id(stream).number(static_cast<std::uint64_t>(verdict.kind)).number(verdict.first).number(verdict.last);
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
      filter_(options.filter) {
  if (options.delta && *options.delta == hub_->delta_kind()) deltas_.emplace(*options.delta);
}

std::size_t ServedStream::capacity() const noexcept {
  return std::max<std::size_t>(hub_->options().retained_items, 1);
}

ServedStream::Item& ServedStream::item(std::uint64_t sequence) noexcept {
  return items_[(sequence - 1) % capacity()];
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

void ServedStream::number(SharedValue value, Deadline now) {
  if (full()) return fail(RemoteCode::too_slow, "the observer takes no more values");
  filter_.note_sent(value, now);
  if (deltas_ && !items_.empty() && same_bytes(item(numbered_).value, value)) return;  // no change
  keep(std::move(value));
}

/// Gives it the next number.
void ServedStream::keep(SharedValue value) {
  Item numbered{std::move(value), now_ns()};
  ++numbered_;
  if (items_.size() < capacity()) {
    items_.push_back(std::move(numbered));
  } else {
    item(numbered_) = std::move(numbered);
  }
}

/// What becomes of the newest value. It takes the place of one that wasn't numbered yet.
void ServedStream::judge(const SharedValue& value, Deadline now) {
  const FilterVerdict verdict = filter_.judge(*value, now);
  if (verdict.kind == FilterVerdict::Kind::drop) {
    pending_.reset();
    return;
  }
  pending_ = value;
  due_ = verdict.kind == FilterVerdict::Kind::later ? verdict.at : Deadline{};
}

bool ServedStream::offer(const SharedValue& value, Deadline now) {
  const Lock lock(mutex_);
  if (over_ || (link_ == nullptr && now - detached_at_ >= hub_->options().retention)) {
    let_go();
    return false;
  }
  judge(value, now);
  pump(now);
  return !over_;
}

void ServedStream::pump(Deadline now) {
  for (;;) {
    if (link_ != nullptr && posted_ < numbered_) {
      if (may_send(posted_ + 1) && send(posted_ + 1)) continue;
      if (options_.slow == SlowPolicy::conflate || !pending_) return;
    }
    if (!pending_ || !settles()) return;
    if (due_ != Deadline{}) {
      if (due_ > now) {
        if (link_ != nullptr) link_->tick_at(shared_from_this(), due_);
        return;
      }
      judge(SharedValue(pending_), now);
      if (!pending_ || due_ != Deadline{}) continue;
    }
    number(std::exchange(pending_, {}), now);
  }
}

bool ServedStream::send(std::uint64_t sequence) {
  const Item& sent = item(sequence);
  std::optional<EncodedValue> encoded;
  if (deltas_) encoded = deltas_->encode(sent.value, sequence);
  if (!encoded) encoded.emplace(sent.value);
  FrameHead head(FrameKind::stream_data, 7);
  head.id(id_).number(sequence).number(static_cast<std::uint64_t>(sent.time_ns));
  head.number(static_cast<std::uint64_t>(encoded->form)).number(encoded->base);
  const Status posted = link_->try_post(head.bytes(), encoded->bytes());
  if (posted != Status::ok && deltas_) deltas_->reset();
  switch (posted) {
    case Status::ok:
      posted_ = sequence;
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

void ServedStream::say_verdict(const Verdict& verdict) {
  link_->post(verdict_frame(id_, verdict).bytes());
}

void ServedStream::start(StreamLink& link) {
  {
    const Lock lock(mutex_);
    link_ = &link;
    allowed_ = options_.credit;
  }
  hub_->add(shared_from_this());
}

bool ServedStream::resume(StreamLink& link, std::uint64_t last) {
  return hub_->look([&](const SharedValue& present) {
    const Lock lock(mutex_);
    const Deadline now = std::chrono::steady_clock::now();
    if (over_ || last > numbered_) return false;
    link_ = &link;
    if (deltas_) deltas_->reset();
    allowed_ = last + options_.credit;
    if (last + 1 >= oldest()) {
      posted_ = last;
      say_verdict({StreamVerdict::resumed, last + 1, numbered_});
    } else {
      posted_ = numbered_;
      allowed_ = numbered_ + options_.credit;
      say_verdict({StreamVerdict::gap, last + 1, numbered_});
      static_cast<void>(filter_.judge(*present, now));  // it is sent, whatever the filter
      pending_ = present;
      due_ = {};
    }
    pump(now);
    return true;
  });
}

void ServedStream::detach(const StreamLink& link) noexcept {
  const Lock lock(mutex_);
  if (link_ != &link) return;
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
  if (posted_ != numbered_ || pending_) return;  // a full value comes anyway
  keep(SharedValue(item(numbered_).value));
  pump(std::chrono::steady_clock::now());
}

void ServedStream::tick(Deadline now) {
  const Lock lock(mutex_);
  pump(now);
}

bool ServedStream::unsettled() const noexcept {
  const Lock lock(mutex_);
  return full();
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

/// Nothing is sent any more, and nothing kept.
void ServedStream::let_go() noexcept {
  over_ = true;
  link_ = nullptr;
  pending_.reset();
  items_.clear();
  items_.shrink_to_fit();
  posted_ = numbered_;
  room_.notify_all();
}

}  // namespace sluice::codec

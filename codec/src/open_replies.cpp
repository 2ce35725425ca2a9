#include "open_replies.hpp"

#include <utility>
#include <vector>

#include "sluice/base/detail/fork_generation.hpp"

namespace sluice::codec {

class OpenReplyOfPeer final : public detail::OpenReply {
 public:
  OpenReplyOfPeer(const Id& call, std::weak_ptr<ReplyLink> link, std::shared_ptr<OpenReplies::State> open)
      : call_(call), link_(std::move(link)), open_(std::move(open)) {}
  ~OpenReplyOfPeer() override { fail(RemoteCode::failed, "the method gave no answer"); }

  void value(std::span<const std::byte> packed) noexcept override {
    if (const auto link = take_link()) link->answer(call_, packed);
  }
  void fail(RemoteCode code, std::string_view text) noexcept override {
    if (const auto link = take_link()) link->answer_error(call_, code, text);
  }
  bool cancelled() const noexcept override {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }
  void on_cancel(std::function<void()> call) override {
    {
      const std::lock_guard lock(mutex_);
      if (!cancelled_) {
        on_cancel_ = std::move(call);
        return;
      }
    }
    call();
  }

  void cancel() noexcept {
    std::function<void()> call;
    {
      const std::lock_guard lock(mutex_);
      if (answered_) return;
      answered_ = cancelled_ = true;
      call = std::move(on_cancel_);
    }
    if (call) call();
  }

 private:
  /// The link, for the first answer.
  std::shared_ptr<ReplyLink> take_link() noexcept {
    if (owner_.inherited()) return nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(answered_, true)) return nullptr;
    }
    const std::lock_guard lock(open_->mutex);
    open_->open.erase(call_);
    return link_.lock();
  }

  const base::OwnerProcess owner_;
  const Id call_;
  const std::weak_ptr<ReplyLink> link_;
  const std::shared_ptr<OpenReplies::State> open_;
  mutable std::mutex mutex_;  // guards everything below
  bool answered_ = false;
  bool cancelled_ = false;
  std::function<void()> on_cancel_;
};

std::shared_ptr<detail::OpenReply> no_reply() {
  return std::make_shared<OpenReplyOfPeer>(Id{}, std::weak_ptr<ReplyLink>(),
                                           std::make_shared<OpenReplies::State>());
}

std::shared_ptr<detail::OpenReply> OpenReplies::add(const Id& call, std::weak_ptr<ReplyLink> link) {
  const std::lock_guard lock(state_->mutex);
  if (state_->open.size() >= most_) return nullptr;
  auto& place = state_->open[call];
  if (!place.expired()) return nullptr;
  auto reply = std::make_shared<OpenReplyOfPeer>(call, std::move(link), state_);
  place = reply;
  return reply;
}

void OpenReplies::cancel(const Id& call) noexcept {
  std::shared_ptr<OpenReplyOfPeer> cancelled;
  {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->open.find(call);
    if (found == state_->open.end()) return;
    cancelled = found->second.lock();
    state_->open.erase(found);
  }
  if (cancelled) cancelled->cancel();
}

void OpenReplies::cancel_all() noexcept {
  std::map<Id, std::weak_ptr<OpenReplyOfPeer>> open;
  {
    const std::lock_guard lock(state_->mutex);
    open.swap(state_->open);
  }
  for (const auto& [id, reply] : open) {
    if (const auto cancelled = reply.lock()) cancelled->cancel();
  }
}

}  // namespace sluice::codec

// The calls of the other side's that methods answer later.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>

#include "sluice/codec/frame.hpp"
#include "sluice/codec/reply.hpp"

namespace sluice::codec {

/// A reply to somebody who doesn't wait for one.
std::shared_ptr<detail::OpenReply> no_reply();

/// Where answers go.
class ReplyLink {
 public:
  ReplyLink() = default;
  ReplyLink(const ReplyLink&) = delete;
  ReplyLink& operator=(const ReplyLink&) = delete;
  virtual ~ReplyLink() = default;
  virtual void answer(const Id& call, std::span<const std::byte> value) noexcept = 0;
  virtual void answer_error(const Id& call, RemoteCode code, std::string_view text) noexcept = 0;
};

class OpenReplyOfPeer;

/// Thread-safety: any thread.
class OpenReplies {
 public:
  /// Shared with the replies, which may outlive the peer.
  struct State {
    std::mutex mutex;
    std::map<Id, std::weak_ptr<OpenReplyOfPeer>> open;
  };

  explicit OpenReplies(std::size_t most) : most_(most) {}

  /// Null if there are too many, or one of that id. The reply keeps nothing of the link alive.
  std::shared_ptr<detail::OpenReply> add(const Id& call, std::weak_ptr<ReplyLink> link);
  /// The caller has given up.
  void cancel(const Id& call) noexcept;
  /// The caller is gone.
  void cancel_all() noexcept;

 private:
  const std::size_t most_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace sluice::codec

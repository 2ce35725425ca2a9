#include "sluice/codec/peer.hpp"

#include <string>
#include <utility>

#include "live_peer.hpp"
#include "registry_state.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/base/detail/leave_to_parent.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/error.hpp"

namespace sluice::codec {
namespace detail {

void throw_failure(const CallFailure& failure) {
  if (failure.remote) throw RemoteError(*failure.remote, failure.text);
  throw error(failure.code, failure.text);
}

}  // namespace detail

namespace {

PeerOptions checked(PeerOptions options) {
  constexpr std::size_t kMost = std::size_t{1} << 31;
  if (options.max_calls == 0 || options.max_calls > kMost) {
    throw error(sluice::errc::bad_option,
                "PeerOptions::max_calls: expected 1 to 2^31, got " + std::to_string(options.max_calls));
  }
  if (options.client == Id{}) options.client = random_id();
  return options;
}

}  // namespace

Peer::Peer(AnyPort port, const PeerOptions& options) {
  auto registry = options.registry != nullptr ? options.registry->state_
                                              : std::make_shared<detail::RegistryState>(RegistryOptions{});
  live_ = std::make_shared<LivePeer>(std::move(port), checked(options), std::move(registry));
  live_->open();
}

Peer& Peer::operator=(Peer&& other) noexcept {
  if (this != &other) {
    finish();
    live_ = std::move(other.live_);
  }
  return *this;
}

Peer::~Peer() {
  finish();
}

void Peer::finish() noexcept {
  if (live_ == nullptr) return;
  if (live_->inherited()) {
    base::leave_to_parent(std::move(live_));
  } else {
    live_->shut_down();
    live_.reset();
  }
}

LivePeer& Peer::live() const {
  return base::own(live_, "a peer");
}

detail::PeerCore& Peer::core() const {
  return live();
}

std::shared_ptr<detail::PeerCore> Peer::held() const {
  (void)live();
  return live_;
}

DecodeOptions Peer::decode_options() const {
  return live().options().decode;
}

// A method may destroy its peer: then that lives until it has been run.

Status Peer::poll() {
  return live().shared_from_this()->poll();
}

Status Peer::run_once(Deadline deadline) {
  return live().shared_from_this()->run_once(deadline);
}

Status Peer::run() {
  return live().shared_from_this()->run();
}

void Peer::start() {
  live().start();
}

void Peer::close() noexcept {
  if (live_ != nullptr && !live_->inherited()) live_->close();
}

bool Peer::is_open() const {
  return status() == Status::ok;
}

Status Peer::status() const {
  return live().status();
}

std::string Peer::failure_text() const {
  return live().failure_text();
}

Id Peer::client() const {
  return live().options().client;
}

}  // namespace sluice::codec

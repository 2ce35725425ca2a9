#include "sluice/ipc/connect/endpoint.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <utility>

#include "channel_name.hpp"
#include "handshake.hpp"
#include "listening_socket.hpp"
#include "port_impl.hpp"
#include "sluice/base/detail/wait_for_events.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

/// Each holds a region; further clients wait in the socket's queue.
constexpr std::size_t kMaxHandshakesAtOnce = 8;

/// After running out of descriptors or memory: until something may have been freed.
constexpr auto kAcceptBackOff = std::chrono::milliseconds(50);

Port make_port(ipc::Connection connection, const PortOptions& options) {
  auto impl = std::make_shared<ipc::PortImpl>(std::move(connection), options);
  impl->watch();
  return ipc::PortAccess::make(std::move(impl));
}

}  // namespace

class Listener::Impl {
 public:
  Impl(const std::filesystem::path& path, ListenOptions options)
      : options_(std::move(options)),
        socket_(path, access()),
        stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!stop_) throw_errno("eventfd for a listener");
    if (options_.allowed_users.empty()) options_.allowed_users.push_back(::geteuid());
  }

  std::optional<Port> accept_until(Deadline deadline) {
    while (!stopped()) {
      if (std::optional<Port> port = advance_handshakes()) return port;
      admit_clients();
      if (std::chrono::steady_clock::now() >= deadline) return std::nullopt;
      wait_for_events(deadline);
    }
    return std::nullopt;
  }

  void close() noexcept {
    const std::uint64_t one = 1;
    // It can only fail where the counter is full: then it is readable all the same.
    [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof one);
  }

  bool stopped() const noexcept { return base::is_readable(stop_.get()); }

  std::string path() const { return socket_.path().string(); }

 private:
  ipc::SocketAccess access() const {
    const auto is_other = [](uid_t user) { return user != ::geteuid(); };
    return std::any_of(options_.allowed_users.begin(), options_.allowed_users.end(), is_other)
               ? ipc::SocketAccess::everybody
               : ipc::SocketAccess::owner;
  }

  /// Takes the first connection that stands; drops clients that broke a rule or took too long.
  std::optional<Port> advance_handshakes() {
    for (auto it = handshakes_.begin(); it != handshakes_.end();) {
      try {
        std::optional<ipc::Connection> connection = it->advance();
        if (connection) {
          Port port = make_port(std::move(*connection), options_.port);
          handshakes_.erase(it);
          return port;
        }
        if (std::chrono::steady_clock::now() >= it->deadline()) {
          it->give_up();
        }
        ++it;
      } catch (const error& why) {
        it = handshakes_.erase(it);
        report_refusal(why.what());
      }
    }
    return std::nullopt;
  }

  void admit_clients() {
    while (handshakes_.size() < kMaxHandshakesAtOnce && std::chrono::steady_clock::now() >= accept_again_) {
      ipc::AcceptResult result = socket_.accept();
      if (result.outcome == ipc::AcceptOutcome::out_of_resources) {
        accept_again_ = std::chrono::steady_clock::now() + kAcceptBackOff;
      }
      if (result.outcome != ipc::AcceptOutcome::accepted) return;
      admit(std::move(*result.connection));
    }
  }

  /// Checks who it is before anything else is done for it.
  void admit(ipc::PacketSocket client) {
    const auto who = client.peer_credentials();
    ipc::ListenerHandshake handshake(std::move(client), options_.port,
                                     deadline_in(options_.handshake_timeout));
    if (std::find(options_.allowed_users.begin(), options_.allowed_users.end(), who.uid) ==
        options_.allowed_users.end()) {
      const error why(connect_errc::refused, "user " + std::to_string(who.uid) + " may not connect");
      handshake.refuse(why);
      report_refusal(why.what());
      return;
    }
    handshakes_.push_back(std::move(handshake));
  }

  void wait_for_events(Deadline deadline) {
    std::vector<pollfd> polled{{stop_.get(), POLLIN, 0}};
    for (const auto& handshake : handshakes_) {
      polled.push_back({handshake.fd(), POLLIN, 0});
      deadline = std::min(deadline, handshake.deadline());
    }
    if (handshakes_.size() < kMaxHandshakesAtOnce) {
      if (std::chrono::steady_clock::now() < accept_again_) {
        deadline = std::min(deadline, accept_again_);
      } else {
        polled.push_back({socket_.fd(), POLLIN, 0});
      }
    }
    base::wait_for_any_event(polled, deadline);
  }

  void report_refusal(const std::string& reason) const {
    if (options_.on_refused) options_.on_refused(reason);
  }

  ListenOptions options_;
  ipc::ListeningSocket socket_;
  Descriptor stop_;
  std::list<ipc::ListenerHandshake> handshakes_;
  Deadline accept_again_{};
};

Listener::Listener(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Listener::Listener(Listener&&) noexcept = default;
Listener& Listener::operator=(Listener&&) noexcept = default;
Listener::~Listener() = default;

Port Listener::accept() {
  std::optional<Port> port = accept_until(kNoDeadline);
  if (!port) throw error(errc::misuse, "accept() on a listener that was closed: " + path());
  return std::move(*port);
}

std::optional<Port> Listener::accept_until(Deadline deadline) {
  return impl_->accept_until(deadline);
}
void Listener::close() noexcept {
  impl_->close();
}
std::string Listener::path() const {
  return impl_->path();
}

Listener listen(std::string_view name, ListenOptions options) {
  ipc::check_port_options(options.port);
  const std::filesystem::path path = ipc::resolve_channel_name(name);
  return Listener(std::make_unique<Listener::Impl>(path, std::move(options)));
}

Port connect(std::string_view name, const ConnectOptions& options) {
  ipc::check_port_options(options.port);
  const std::filesystem::path path = ipc::resolve_channel_name(name);
  const Deadline deadline = deadline_in(options.timeout);
  ipc::PacketSocket socket = ipc::connect_until(path, options.listener_user.value_or(::geteuid()), deadline);
  return make_port(ipc::shake_hands_as_connector(std::move(socket), options.port, deadline), options.port);
}

std::pair<Port, Port> make_port_pair(const PortOptions& first, const PortOptions& second) {
  ipc::check_port_options(first);
  ipc::check_port_options(second);
  auto [first_end, second_end] = ipc::connect_within_process(first, second);
  return {make_port(std::move(first_end), first), make_port(std::move(second_end), second)};
}

}  // namespace sluice

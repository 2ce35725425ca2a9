#include "sluice/ipc/connect/endpoint.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "channel_name.hpp"
#include "listening_socket.hpp"
#include "opening.hpp"
#include "port_impl.hpp"
#include "port_regions.hpp"
#include "reception.hpp"
#include "sluice/base/detail/event.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/base/detail/leave_to_parent.hpp"
#include "sluice/base/detail/with_error_code.hpp"

namespace sluice {
namespace {

/// Each holds a region; further clients wait.
constexpr std::size_t kMaxHandshakesAtOnce = 8;

ipc::Plan plain_plan(const PortOptions& port) {
  ipc::check_port_options(port);
  return {.kind = ipc::ConnectionKind::plain, .options = {.port = port}};
}

ipc::SocketAccess access_for(const std::vector<uid_t>& users) {
  const auto is_other = [](uid_t user) { return user != ::geteuid(); };
  return std::any_of(users.begin(), users.end(), is_other) ? ipc::SocketAccess::everybody
                                                           : ipc::SocketAccess::owner;
}

}  // namespace

class Listener::Impl {
 public:
  Impl(const std::filesystem::path& path, ListenOptions options)
      : options_(std::move(options)),
        plan_(plain_plan(options_.port)),
        socket_(path, access_for(options_.allowed_users)),
        reception_(&socket_, rules()) {}

  bool inherited() const noexcept { return owner_.inherited(); }

  std::optional<Port> accept_until(Deadline deadline) {
    owner_.check("a listener");
    for (;;) {
      if (stop_.is_set()) throw error(connect_errc::closed, "the listener at " + path() + " was closed");
      if (reception_.advance()) return std::exchange(port_, std::nullopt);
      if (std::chrono::steady_clock::now() >= deadline) return std::nullopt;
      reception_.wait({{stop_.fd(), POLLIN, 0}}, deadline);
    }
  }

  void close() noexcept {
    if (!inherited()) stop_.set();
  }

  std::string path() const { return socket_.path().string(); }

 private:
  ipc::Reception::Rules rules() {
    ipc::Reception::Rules rules;
    rules.users = options_.allowed_users.empty() ? std::vector<uid_t>{::geteuid()} : options_.allowed_users;
    rules.most_at_once = kMaxHandshakesAtOnce;
    rules.patience = options_.handshake_timeout;
    rules.shake_hands = [this](base::PeerSocket client) {
      return std::make_unique<ipc::Opening>(std::move(client), plan_, nullptr, options_.handshake_timeout,
                                            opened_, [this] { make_port(); });
    };
    rules.on_failed = [this](const error& why, ipc::Handshake::Step) {
      port_.reset();  // of a client that was gone before its welcome
      if (options_.on_refused) options_.on_refused(why.what());
    };
    return rules;
  }

  /// Before the client is welcomed: what fails here is told to it.
  void make_port() {
    std::optional<ipc::Opened> opened = std::exchange(opened_, std::nullopt);
    const auto impl = std::make_shared<ipc::PortImpl>(std::move(opened->connection), options_.port);
    try {
      impl->watch();
    } catch (const error& why) {
      ipc::try_refuse(impl->socket(), why);
      throw;
    }
    port_ = ipc::PortImpl::make_port(impl);
  }

  const base::OwnerProcess owner_;
  const ListenOptions options_;
  const ipc::Plan plan_;
  ipc::ListeningSocket socket_;
  base::Event stop_{"stopping a listener"};
  std::optional<ipc::Opened> opened_;
  std::optional<Port> port_;
  ipc::Reception reception_;  // uses all of the above
};

Listener::Listener() noexcept = default;
Listener::Listener(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Listener::Listener(Listener&&) noexcept = default;
Listener& Listener::operator=(Listener&& other) noexcept {
  Listener taken(std::move(other));
  impl_.swap(taken.impl_);
  return *this;
}
Listener::~Listener() {
  if (impl_ && impl_->inherited()) base::leave_to_parent(std::move(impl_));
}

Port Listener::accept() {
  return std::move(*accept_until(kNoDeadline));
}

Port Listener::accept(std::error_code& why) {
  return accept_until(kNoDeadline, why);
}

std::optional<Port> Listener::accept_until(Deadline deadline) {
  if (!impl_) throw error(connect_errc::closed, "a listener without a name");
  return impl_->accept_until(deadline);
}

Port Listener::accept_until(Deadline deadline, std::error_code& why) {
  return base::with_error_code(why, Port(), [&] {
    std::optional<Port> port = accept_until(deadline);
    if (!port) throw error(errc::timed_out, "nobody connected to " + path());
    return std::move(*port);
  });
}

void Listener::close() noexcept {
  if (impl_) impl_->close();
}

std::string Listener::path() const {
  return impl_ ? impl_->path() : std::string();
}

Listener listen(std::string_view name, ListenOptions options) {
  ipc::check_port_options(options.port);
  ipc::check_handshake_timeout(options.handshake_timeout);
  const std::filesystem::path path = ipc::resolve_channel_name(name);
  return Listener(std::make_shared<Listener::Impl>(path, std::move(options)));
}

Listener listen(std::string_view name, ListenOptions options, std::error_code& why) {
  return base::with_error_code(why, Listener(), [&] { return listen(name, std::move(options)); });
}

Port connect(std::string_view name, const ConnectOptions& options) {
  const ipc::Plan plan = plain_plan(options.port);
  const uid_t listener_user = options.listener_user.value_or(::geteuid());
  const std::filesystem::path path = ipc::resolve_channel_name(name, listener_user);
  ipc::Opened opened = ipc::knock(path, listener_user, plan, options.timeout, deadline_in(options.timeout),
                                  ipc::other_place(name, "a listener"));
  return ipc::make_port(std::move(opened.connection), options.port);
}

Port connect(std::string_view name, const ConnectOptions& options, std::error_code& why) {
  return base::with_error_code(why, Port(), [&] { return connect(name, options); });
}

}  // namespace sluice

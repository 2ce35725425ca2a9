#include "peer_watcher.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "application_call.hpp"
#include "sluice/base/detail/event.hpp"
#include "sluice/base/detail/fork_generation.hpp"
#include "sluice/base/detail/signals_blocked.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {
namespace {

constexpr std::uint64_t kStopId = 0;

// One-shot, and without EPOLLIN for sockets, so that neither a hang-up already reported nor unread data can
// spin.
constexpr std::uint32_t kSocketEvents = EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLONESHOT;
constexpr std::uint32_t kPidfdEvents = EPOLLIN | EPOLLONESHOT;

void add_to_epoll(int epoll, int fd, std::uint32_t events, std::uint64_t id) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    throw_errno("watching descriptor " + std::to_string(fd));
}

}  // namespace

// What the thread works on; it keeps this alive if the PeerWatcher is destroyed on the thread itself.
struct PeerWatcher::State {
  struct Entry {
    int socket;
    int pidfd;
    std::function<void()> on_gone;  // empty once it was called
  };

  State() : epoll(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll) throw_errno("epoll_create1 for watching peers");
    add_to_epoll(epoll.get(), stop.fd(), EPOLLIN, kStopId);
  }

  static void* thread_main(void* owned_state) noexcept;
  void run() noexcept;
  void fire(std::uint64_t id) noexcept;

  const base::OwnerProcess owner;
  const Descriptor epoll;
  base::Event stop{"watching peers"};  // set once, when the PeerWatcher is destroyed

  std::mutex mutex;  // guards what follows; never held while on_gone runs
  std::condition_variable finished;
  std::unordered_map<std::uint64_t, Entry> entries;
  std::uint64_t last_id = kStopId;
  std::uint64_t running_id = kStopId;  // whose on_gone is running or being destroyed
};

void* PeerWatcher::State::thread_main(void* owned_state) noexcept {
  const CancellationOff no_cancellation;
  const std::unique_ptr<std::shared_ptr<State>> state(static_cast<std::shared_ptr<State>*>(owned_state));
  (*state)->run();
  return nullptr;
}

void PeerWatcher::State::run() noexcept {
  ::pthread_setname_np(::pthread_self(), "sluice-watch");
  std::array<epoll_event, 16> events;
  for (;;) {
    const int count = ::epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), -1);
    // The only possible failure is EINTR (a debugger, SIGSTOP): a negative count leaves the loop below idle.
    for (int i = 0; i < count; ++i) {
      const std::uint64_t id = events.at(static_cast<std::size_t>(i)).data.u64;
      if (id == kStopId) return;
      fire(id);
    }
  }
}

void PeerWatcher::State::fire(std::uint64_t id) noexcept {
  std::function<void()> on_gone;
  {
    const std::scoped_lock lock(mutex);
    const auto found = entries.find(id);
    if (found == entries.end() || !found->second.on_gone)
      return;  // unwatched meanwhile, or the second descriptor
    on_gone = std::exchange(found->second.on_gone, nullptr);
    running_id = id;
  }
  on_gone();
  on_gone = nullptr;  // its captures go before a waiting ~Watch returns
  {
    const std::scoped_lock lock(mutex);
    running_id = kStopId;
  }
  finished.notify_all();
}

namespace {

// The process-wide instance. A forked child can't use its parent's (the thread isn't there, and the mutex may
// have been locked at the fork), so it gets a place of its own, chained to the inherited one.
struct Instance {
  base::OwnerProcess owner;
  Instance* inherited = nullptr;
  std::mutex mutex;
  std::weak_ptr<PeerWatcher> watcher;
};

Instance& instance_of_this_process() {
  // Never destroyed: a port in a static object may still need it at the very end of the program.
  static std::atomic<Instance*> newest{nullptr};
  // [INSTANCE] acquire; pairs with the release below: whoever sees the pointer sees the object.
  Instance* current = newest.load(std::memory_order_acquire);
  while (current == nullptr || current->owner.inherited()) {
    auto fresh = std::make_unique<Instance>();
    fresh->inherited = current;
    // [INSTANCE] release publishes the object; acquire on failure, to use the one that another thread
    // published.
    if (newest.compare_exchange_strong(current, fresh.get(), std::memory_order_acq_rel,
                                       std::memory_order_acquire))
      current = fresh.release();
  }
  return *current;
}

}  // namespace

std::shared_ptr<PeerWatcher> PeerWatcher::shared() {
  Instance& instance = instance_of_this_process();
  const std::scoped_lock lock(instance.mutex);
  auto watcher = instance.watcher.lock();
  if (!watcher) {
    watcher = std::make_shared<PeerWatcher>(Token{});
    instance.watcher = watcher;
  }
  return watcher;
}

PeerWatcher::PeerWatcher(Token /*token*/) : state_(std::make_shared<State>()) {
  auto for_thread = std::make_unique<std::shared_ptr<State>>(state_);
  const base::SignalsBlocked blocked;
  const int code = ::pthread_create(&thread_, nullptr, &State::thread_main, for_thread.get());
  if (code != 0) throw_errno(code, "starting the thread that watches peers");
  // The thread owns it now.
  static_cast<void>(for_thread.release());  // NOLINT(bugprone-unused-return-value)
}

PeerWatcher::~PeerWatcher() {
  // In a forked child the thread doesn't exist (its handle may stand for a new thread), and the descriptors
  // are shared with the parent's watcher: nothing may be touched.
  if (state_->owner.inherited()) return;
  state_->stop.set();
  if (runs_here()) {
    ::pthread_detach(thread_);
  } else {
    ::pthread_join(thread_, nullptr);
  }
}

bool PeerWatcher::runs_here() const noexcept {
  return ::pthread_equal(thread_, ::pthread_self()) != 0;
}

Watch PeerWatcher::watch(int socket, int pidfd, std::function<void()> on_gone) {
  state_->owner.check("a watcher of peers");
  const std::scoped_lock lock(state_->mutex);
  const std::uint64_t id = ++state_->last_id;
  state_->entries.emplace(id, State::Entry{socket, pidfd, std::move(on_gone)});
  bool socket_added = false;
  try {
    add_to_epoll(state_->epoll.get(), socket, kSocketEvents, id);
    socket_added = true;
    if (pidfd >= 0) add_to_epoll(state_->epoll.get(), pidfd, kPidfdEvents, id);
  } catch (...) {
    if (socket_added) ::epoll_ctl(state_->epoll.get(), EPOLL_CTL_DEL, socket, nullptr);
    state_->entries.erase(id);
    throw;
  }
  return {this, [watcher = shared_from_this(), id](const void*) { watcher->unwatch(id); }};
}

void PeerWatcher::unwatch(std::uint64_t id) noexcept {
  State& state = *state_;
  // In a forked child the epoll set is still the parent's: removing from it would blind the parent.
  if (state.owner.inherited()) return;
  std::function<void()> on_gone;  // destroyed last, outside of the lock
  std::unique_lock lock(state.mutex);
  const auto found = state.entries.find(id);
  on_gone = std::move(found->second.on_gone);
  ::epoll_ctl(state.epoll.get(), EPOLL_CTL_DEL, found->second.socket, nullptr);
  if (found->second.pidfd >= 0) ::epoll_ctl(state.epoll.get(), EPOLL_CTL_DEL, found->second.pidfd, nullptr);
  state.entries.erase(found);
  if (runs_here()) return;
  state.finished.wait(lock, [&] { return state.running_id != id; });
}

Descriptor own_pidfd() {
  Descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!pidfd && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
    throw_errno("pidfd_open of this process");
  return pidfd;
}

std::optional<bool> is_pidfd(int fd) {
  if (fd < 0) return false;
  const std::string path = "/proc/self/fdinfo/" + std::to_string(fd);
  const Descriptor info(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!info && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
    throw_errno("looking at a descriptor that should be the peer's pidfd");
  if (!info) return std::nullopt;
  // The line stands after at most five short ones; what lies beyond the buffer belongs to no pidfd.
  std::array<char, 1024> buffer;
  const ssize_t length = ::read(info.get(), buffer.data(), buffer.size());
  if (length <= 0) return std::nullopt;
  return std::string_view(buffer.data(), static_cast<std::size_t>(length)).find("\nPid:\t") !=
         std::string_view::npos;
}

}  // namespace sluice::ipc

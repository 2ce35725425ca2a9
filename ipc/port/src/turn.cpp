#include "turn.hpp"

#include <utility>

namespace sluice::ipc {
namespace {

/// Ends with the last copy of the function that the executor was given.
struct Ticket {
  explicit Ticket(std::shared_ptr<Turn> of) noexcept : turn(std::move(of)) {}
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;
  ~Ticket() { turn->call_off(); }

  std::shared_ptr<Turn> turn;
};

}  // namespace

std::function<void()> Turn::piece() {
  return [ticket = std::make_shared<Ticket>(shared_from_this())] { ticket->turn->run(); };
}

bool Turn::call_off() noexcept {
  const std::scoped_lock lock(mutex_);
  if (state_ == State::running) return runs_on_ == std::this_thread::get_id();
  if (state_ == State::queued) {
    state_ = State::called_off;
    changed_.notify_all();
  }
  return false;
}

bool Turn::wait() noexcept {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return state_ == State::over || state_ == State::called_off; });
  return state_ == State::over;
}

void Turn::run() {
  {
    const std::scoped_lock lock(mutex_);
    if (state_ != State::queued) return;
    state_ = State::running;
    runs_on_ = std::this_thread::get_id();
  }
  // An exception of the work goes on to the executor; the turn is over all the same.
  const std::unique_ptr<Turn, void (*)(Turn*)> ending(this, [](Turn* turn) { turn->end(); });
  (*work_)();
}

void Turn::end() noexcept {
  const std::scoped_lock lock(mutex_);
  state_ = State::over;
  changed_.notify_all();
}

}  // namespace sluice::ipc

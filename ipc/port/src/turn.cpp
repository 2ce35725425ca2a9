#include "turn.hpp"

namespace sluice::ipc {

std::function<void()> Turn::piece() {
  // Ends with the last copy of the function that the executor is given.
  const std::shared_ptr<Turn> ticket(this, [self = shared_from_this()](Turn*) { self->call_off(); });
  return [ticket] { ticket->run(); };
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

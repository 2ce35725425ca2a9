#include "sluice/ring/detail/spin_window.hpp"

#include <algorithm>

namespace sluice::ring {

SpinWindow::nanoseconds SpinWindow::begin_otherwise() noexcept {
  polled_ = false;
  if (idle_ || limit_ == nanoseconds::zero()) return nanoseconds::zero();
  if (window_ != nanoseconds::zero()) {
    // What comes late may come sooner to a sleeper: the scheduler places the two sides differently then.
    late_finds_ = 0;
    return nanoseconds::zero();
  }
  // Whoever sleeps for long doesn't gain by polling.
  if (typical_sleep_ > 2 * limit_) return nanoseconds::zero();
  if (--until_probe_ != 0) return nanoseconds::zero();
  until_probe_ = gap_;
  probing_ = polled_ = true;
  return std::min(limit_, 2 * typical_sleep_);
}

void SpinWindow::grow() noexcept {
  window_ = probing_ ? limit_ : std::min(limit_, 2 * window_);
}

void SpinWindow::shrink() noexcept {
  window_ /= 2;
  if (window_ < kLeast) close();
}

void SpinWindow::close() noexcept {
  window_ = nanoseconds::zero();
  probing_ = false;
  gap_ = std::min(2 * gap_, kLargestGap);
  until_probe_ = gap_;
}

void SpinWindow::found_after(nanoseconds time) noexcept {
  ++late_finds_;
  if (typical_sleep_ != nanoseconds::zero() && 4 * time > 3 * typical_sleep_) return shrink();
  if (window_ != limit_) grow();
}

void SpinWindow::slept(nanoseconds time, Status how_it_ended) noexcept {
  idle_ = how_it_ended == Status::timed_out;
  if (how_it_ended != Status::ok) return;
  if (polled_) return shrink();
  typical_sleep_ += typical_sleep_ == nanoseconds::zero() ? time : (time - typical_sleep_) / 8;
}

}  // namespace sluice::ring

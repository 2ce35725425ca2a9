#include "sluice/codec/typed_state.hpp"

#include <random>
#include <string>
#include <thread>

namespace sluice::codec::detail {
namespace {

/// The time less a random part of up to a half.
std::chrono::nanoseconds shortened(std::chrono::nanoseconds time) {
  thread_local std::minstd_rand random(std::random_device{}());
  return time - std::chrono::nanoseconds(std::uniform_int_distribution<std::chrono::nanoseconds::rep>(
                    0, time.count() / 2)(random));
}

}  // namespace

Retries::Retries(const RetryOptions& options) : options_(options), wait_(options.first_wait) {
  if (options.attempts == 0)
    throw error(sluice::errc::bad_option, "RetryOptions::attempts: expected at least 1, got 0");
  if (options.first_wait < Duration() || options.longest_wait < options.first_wait) {
    throw error(sluice::errc::bad_option, "RetryOptions: expected 0 <= first_wait <= longest_wait, got " +
                                              std::to_string(options.first_wait.count()) + " ns and " +
                                              std::to_string(options.longest_wait.count()) + " ns");
  }
}

void Retries::wait_after(const VersionConflict& conflict) {
  if (++failed_ >= options_.attempts) throw;  // the conflict, which is being handled
  const Deadline next = deadline_in(Duration(shortened(wait_)));
  if (next >= options_.deadline) {
    throw error(sluice::errc::timed_out,
                "update, after " + std::to_string(failed_) + " attempts: " + conflict.detail());
  }
  std::this_thread::sleep_until(next);
  wait_ = wait_ > options_.longest_wait / 2 ? options_.longest_wait : 2 * wait_;
}

}  // namespace sluice::codec::detail

#include "streaming.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace demo {
namespace {

using Clock = std::chrono::steady_clock;

class Streamer {
 public:
  Streamer(sluice::Port& port, const Lap& lap, const Flight& flight, const Progress& progress)
      : port_(port), lap_(lap), flight_(flight), progress_(progress) {
    if (flight.max_in_flight != kFullFlight) sent_at_.resize(flight.max_in_flight);
  }

  FlightResult run() {
    while (!done_sending() || answered_ < sent_) {
      // Posting never waits here: a worker that waits for room for its answers would wait for ever.
      if (may_send() && try_send()) {
        while (take(port_.try_receive())) {
        }
      } else {
        take(port_.receive());
      }
    }
    result_.laps = sent_ / lap_.size();
    result_.records = answered_;
    result_.time = last_answer_ - start_;
    return std::move(result_);
  }

 private:
  bool done_sending() const {
    return sent_ > 0 && sent_ % lap_.size() == 0 && last_answer_ - start_ >= flight_.time;
  }

  bool may_send() const { return !done_sending() && sent_ - answered_ < flight_.max_in_flight; }

  bool try_send() {
    const Clock::time_point now = Clock::now();
    const sluice::Status status = port_.try_post_message(lap_.record(sent_ % lap_.size()));
    if (status == sluice::Status::would_block) return false;
    if (status != sluice::Status::ok) throw PortEnded{status, answered_};
    if (!sent_at_.empty()) sent_at_.at(sent_ % sent_at_.size()) = now;
    ++sent_;
    return true;
  }

  /// Checks an answer; false if there was none yet.
  bool take(sluice::Message message) {
    if (message.status() == sluice::Status::would_block) return false;
    if (!message) throw PortEnded{message.status(), answered_};
    last_answer_ = Clock::now();
    const std::uint64_t index = answered_ % lap_.size();
    if (!std::ranges::equal(message.bytes(), lap_.answer(index))) {
      throw std::runtime_error(fmt::format("record {} of lap {}: the worker's SHA-256 differs from ours",
                                           index, answered_ / lap_.size()));
    }
    message.release();
    if (!sent_at_.empty())
      result_.latencies.push_back(last_answer_ - sent_at_.at(answered_ % sent_at_.size()));
    result_.bytes += lap_.record(index).size();
    ++answered_;
    progress_(result_.bytes, last_answer_ - start_);
    return true;
  }

  sluice::Port& port_;
  const Lap& lap_;
  const Flight& flight_;
  const Progress& progress_;
  std::vector<Clock::time_point> sent_at_;  // of the records in flight; empty without a bound
  std::uint64_t sent_ = 0;
  std::uint64_t answered_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_answer_ = start_;
  FlightResult result_;
};

}  // namespace

FlightResult fly(sluice::Port& port, const Lap& lap, const Flight& flight, const Progress& progress) {
  return Streamer(port, lap, flight, progress).run();
}

}  // namespace demo

#include "worker.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <optional>
#include <thread>

#include "numbered_message.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

/// Messages of many sizes; the ring holds a few dozen.
constexpr std::uint64_t kRingBytes = 16384;
constexpr std::size_t kLargestMessage = 700;

NumberedMessages messages_of(Role sender) {
  return {sender == Role::host ? 1U : 2U, 0, kLargestMessage};
}

class Worker {
 public:
  Worker(const WorkerOptions& options, Board& board)
      : options_(options), own_(board.of(options.role)), peer_(board.of(other(options.role))) {}

  void run() {
    port_.emplace(open_session(options_.role, options_.path, session_options()));
    check_place();
    std::thread receiver([this] { receive(); });
    send();
    port_->close();
    receiver.join();
  }

  void complain(const std::string& what) {
    if (own_.broken) return;
    const std::string text = (options_.role == Role::host ? "host: " : "joiner: ") + what;
    std::memcpy(own_.complaint.data(), text.data(), std::min(text.size(), own_.complaint.size() - 1));
    own_.broken = true;
  }

 private:
  SessionOptions session_options() {
    SessionOptions session;
    session.port.ring_bytes = kRingBytes;
    if (options_.sleep_at_once) session.port.wait.strategy = WaitStrategy::sleep;
    session.on_state = [this](const SessionEvent& event) { note(event); };
    if (options_.use_checkpoint && own_.session_low != 0) {
      const std::array<std::uint64_t, 2> id{own_.session_low, own_.session_high};
      StreamCheckpoint checkpoint;
      std::memcpy(checkpoint.session.data(), id.data(), sizeof id);
      checkpoint.sequence = own_.handled;
      session.checkpoint = checkpoint;
    }
    return session;
  }

  void note(const SessionEvent& event) {
    if (event.state == SessionState::gap || event.state == SessionState::restarted)
      complain("told " + std::string(to_string(event.state)));
    if (event.state == SessionState::closed && event.reason != Status::closed)
      complain("closed, " + std::string(to_string(event.reason)) + ": " + event.text);
    if (event.state != SessionState::connected && event.state != SessionState::resumed) return;
    if (event.state == SessionState::connected && event.epoch == 1 && own_.handled != 0)
      complain("a new session");
    own_.epoch = event.epoch;
    own_.ready = options_.number;
  }

  /// Posting goes on behind what the process before had published.
  void check_place() {
    const std::uint64_t next = port_->next_sequence();
    if (next <= own_.posted) complain("message " + std::to_string(next) + " was published before");
    if (next > own_.posting + 1) complain("message " + std::to_string(next - 1) + " was never posted");
    own_.posted = next - 1;
    std::array<std::uint64_t, 2> id{};
    std::memcpy(id.data(), port_->session()->id.data(), sizeof id);
    own_.session_high = id[1];
    own_.session_low = id[0];
  }

  void send() {
    NumberedMessages messages = messages_of(options_.role);
    Status status = Status::ok;
    while (status == Status::ok && !own_.finish) {
      for (std::uint64_t i = 0; i < options_.batch && status == Status::ok; ++i) {
        const std::uint64_t number = port_->next_sequence();
        own_.posting = number;
        status = port_->append_message(messages.make(number));
      }
      port_->publish();
      if (status == Status::ok) own_.posted = port_->next_sequence() - 1;
    }
    if (status == Status::ok) status = port_->wait_until_consumed(deadline_in(60s));
    if (status != Status::ok) return complain("sending: " + std::string(to_string(status)));
    own_.finished = true;
    while (!peer_.finished && !peer_.broken) std::this_thread::sleep_for(1ms);
  }

  void receive() {
    const NumberedMessages messages = messages_of(other(options_.role));
    for (Message message = port_->receive(); message; message = port_->receive()) {
      const std::uint64_t number = message.sequence();
      const std::uint64_t expected = own_.handled + 1;
      if (!messages.matches(message.bytes(), number))
        complain("message " + std::to_string(number) + " is altered");
      if (number > expected) complain("message " + std::to_string(expected) + " is lost");
      if (number < expected) note_redelivered(message);
      if (number == expected) own_.handled = number;
      if (options_.lingers && number % 64 == 0)
        std::this_thread::sleep_for(200us);  // handled, not yet released
    }
  }

  void note_redelivered(const Message& message) {
    ++own_.redelivered;
    if (options_.use_checkpoint) complain("a message came again in spite of the checkpoint");
    if (!message.replayed()) complain("a message came again without being marked");
  }

  const WorkerOptions& options_;
  SideBoard& own_;
  SideBoard& peer_;
  std::optional<Port> port_;
};

}  // namespace

void work(const WorkerOptions& options, Board& board) {
  Worker worker(options, board);
  try {
    worker.run();
  } catch (const std::exception& failure) {
    worker.complain(failure.what());
  }
}

}  // namespace sluice::test

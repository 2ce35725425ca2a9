#include "stream_fuzz.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "choices.hpp"
#include "sluice/ipc/port/pull_port.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "sluice/ipc/stream/receive_state.hpp"
#include "sluice/ipc/stream/send_state.hpp"

namespace sluice::test {
namespace {

using ipc::ReceiveState;
using ipc::SendState;

/// Numbers near what is expected are the interesting ones.
std::uint32_t near(Choices& choices, std::uint32_t expected) {
  const std::uint8_t kind = choices.byte();
  if (kind < 160) return expected;
  if (kind < 224) return expected + kind - 192;
  return choices.word();
}

void fuzz_sender(Choices& choices) {
  SendState state(near(choices, 0xfffffff0U));
  std::uint64_t begun = 0;
  for (int step = 0; step < 20'000 && !choices.empty(); ++step) {
    const std::uint64_t size = choices.byte() % 8 == 0 ? choices.word() : choices.byte();
    if (state.may_send(size)) {
      const bool alone = state.all_answered();
      state.begin_block(size);
      ++begun;
      require(alone || state.bytes_in_flight() <= state.window());
    }
    if (choices.byte() % 3 == 0) {
      ipc::Answer answer{.handled = choices.byte() % 16 != 0};
      if (choices.byte() % 2 == 0) answer.window = choices.word() >> (choices.byte() % 32U);
      const auto oldest = state.next_id() - static_cast<std::uint32_t>(state.blocks_in_flight());
      const bool nothing = state.all_answered();
      const auto effect = state.on_ack(near(choices, oldest + choices.byte() % 4U), answer);
      require(!nothing || effect == SendState::AckEffect::stale ||
              effect == SendState::AckEffect::never_sent);
    }
    require(state.blocks_in_flight() <= ipc::kMaxBlocksInFlight);
    require(state.blocks_sent() == begun);
    require(state.bytes_acknowledged() + state.bytes_in_flight() <= state.bytes_sent());
  }
}

void fuzz_receiver(Choices& choices) {
  const ipc::ReceiveLimits limits{.window_bytes = choices.word() >> (choices.byte() % 32U),
                                  .tolerance_bytes = choices.byte() * 16ULL};
  ReceiveState state(limits);
  // -1 is an END. What the consumer sees is what was accepted.
  std::deque<std::int64_t> queue;
  std::uint64_t queued_bytes = 0;
  std::uint64_t largest = 0;
  for (int step = 0; step < 20'000 && !choices.empty(); ++step) {
    switch (choices.byte() % 5) {
      case 0:
      case 1: {
        const std::uint64_t size = choices.byte() % 8 == 0 ? choices.word() : choices.byte();
        if (state.on_data(near(choices, state.expected_id()), size) != ReceiveState::Verdict::accept) break;
        queue.push_back(static_cast<std::int64_t>(size));
        queued_bytes += size;
        largest = std::max(largest, size);
        break;
      }
      case 2: {
        const auto verdict =
            choices.byte() % 2 == 0 ? state.on_end(near(choices, state.expected_id())) : state.on_error();
        require(state.expected_id() == 0 && !state.refusing());
        if (verdict != ReceiveState::Verdict::refused) queue.push_back(-1);
        break;
      }
      case 3: {
        if (queue.empty()) break;
        const auto front = queue.front();
        queue.pop_front();
        if (front < 0) {
          state.end_taken();
          break;
        }
        queued_bytes -= static_cast<std::uint64_t>(front);
        const bool due = state.consumed(static_cast<std::uint64_t>(front));
        if (due || queue.empty() || queue.front() < 0) (void)state.consumed_unanswered();
        break;
      }
      default: {
        if (choices.byte() % 8 != 0) break;
        (void)state.consumed_unanswered();
        std::uint64_t blocks = 0;
        std::uint64_t bytes = 0;
        bool end = false;
        while (!queue.empty() && !end) {
          end = queue.front() < 0;
          if (!end) {
            ++blocks;
            bytes += static_cast<std::uint64_t>(queue.front());
          }
          queue.pop_front();
        }
        queued_bytes -= bytes;
        const auto rejected = state.refuse(blocks, bytes, end);
        require(rejected.has_value() == (blocks != 0));
        break;
      }
    }
    require(queued_bytes <= std::max<std::uint64_t>(limits.window_bytes, largest) + limits.tolerance_bytes);
  }
}

/// Says what the input says, and is closed at its end. Never waits, so that no time passes.
class HostilePort {
 public:
  explicit HostilePort(Choices& choices) : choices_(choices) {}

  Status post_message(std::span<const std::byte> message) {
    return post_parts_until(message, {}, kNoDeadline);
  }
  Status post_parts_until(std::span<const std::byte> head, std::span<const std::byte> body,
                          Deadline /*deadline*/) {
    const auto frame = ipc::decode_frame(head);
    require(frame.has_value());
    require(frame->type == ipc::FrameType::data || head.size() + body.size() <= 4 * ipc::kMaxTextBytes);
    return !choices_.empty() && choices_.byte() % 16 == 0 ? Status::timed_out : Status::ok;
  }
  static MessageHandler on_message(MessageHandler /*handler*/) { return {}; }
  static ErrorHandler on_error(ErrorHandler /*handler*/) { return {}; }
  static CloseHandler on_close(CloseHandler /*handler*/) { return {}; }
  static void start() noexcept {}
  static void close() noexcept {}
  bool is_open() const { return !choices_.empty(); }

  static bool can_receive() noexcept { return true; }
  Message try_receive() {
    // The same again and again, for what only many messages do.
    if (repeats_left_ != 0) {
      --repeats_left_;
    } else {
      if (choices_.empty()) return Message::none(Status::closed);
      const std::uint8_t kind = choices_.byte();
      if (kind % 16 == 0) return Message::none(Status::would_block);
      make_message();
      if (kind % 16 == 1) repeats_left_ = choices_.byte() * 64U;
    }
    if (ipc::is_data(message_)) ++blocks_delivered_;
    return Message::kept_by_port(message_);
  }
  Message receive_until(Deadline /*deadline*/) { return try_receive(); }

  void block_consumed() { require(++blocks_consumed_ <= blocks_delivered_); }

 private:
  void make_message() {
    const auto type = static_cast<std::byte>(choices_.byte() % 5);
    if (type == std::byte{4}) {  // whatever it is
      const auto bytes = choices_.bytes(choices_.byte() % 16U);
      return message_.assign(bytes.begin(), bytes.end());
    }
    const ipc::FrameHead head(static_cast<ipc::FrameType>(type), near(choices_, next_id_));
    next_id_ = type == std::byte{0} ? next_id_ + 1 : type == std::byte{1} ? next_id_ : 0;
    message_.assign(head.bytes().begin(), head.bytes().end());
    const auto payload = choices_.bytes(choices_.byte() % 32U);
    message_.insert(message_.end(), payload.begin(), payload.end());
  }

  Choices& choices_;
  std::vector<std::byte> message_;
  unsigned repeats_left_ = 0;
  std::uint32_t next_id_ = 0;
  std::uint64_t blocks_delivered_ = 0;
  std::uint64_t blocks_consumed_ = 0;
};
static_assert(PullPort<HostilePort>);

}  // namespace

void fuzz_frames(std::span<const std::byte> input) {
  const auto frame = ipc::decode_frame(input);
  require(frame.has_value() == (input.size() >= 5 && std::to_integer<int>(input[0]) <= 3));
  if (!frame) return;
  require(frame->payload.size() == input.size() - 5);
  const ipc::FrameHead head(frame->type, frame->id);
  require(std::ranges::equal(head.bytes(), input.first(5)));
  const auto answer = ipc::decode_answer(frame->payload);
  require(!answer.window || answer.handled);
  const std::string text = ipc::text_of_peer(frame->payload);
  require(text.size() <= 4 * ipc::kMaxTextBytes);
  const std::string json = ipc::to_json_string(text);
  require(json.size() >= 2 && json.front() == '"' && json.back() == '"');
  // What was made printable stays as it is on a further way through JSON.
  constexpr std::size_t kUncutBytes = 1024;
  if (text.size() <= kUncutBytes) require(ipc::text_of_peer(std::as_bytes(std::span(json))) == text);
}

void fuzz_states(std::span<const std::byte> input) {
  Choices choices(input);
  if (choices.byte() % 2 == 0) {
    fuzz_sender(choices);
  } else {
    fuzz_receiver(choices);
  }
}

void fuzz_stream(std::span<const std::byte> input) {
  Choices choices(input);
  HostilePort port(choices);
  const std::uint8_t mode = choices.byte();
  auto stream = create_port_stream(
      port, {.window_bytes = choices.byte() * 32U,
             .tolerance_bytes = choices.byte() * std::uint64_t{4},
             .reading = (mode & 1U) != 0 ? StreamReading::copied : StreamReading::in_place});
  const auto send = [&] { stream.send(std::vector<std::string>(choices.byte() % 32U, "block")); };
  constexpr int kMostStreams = 64;
  for (int i = 0; i < kMostStreams && !choices.empty(); ++i) {
    const std::uint8_t call = choices.byte();
    std::size_t blocks_left = call >> 3U;
    try {
      if (call % 4 == 0) {
        send();
        continue;
      }
      for ([[maybe_unused]] const auto block : stream.receive()) {
        port.block_consumed();
        if (call % 4 == 1 || blocks_left-- != 0) continue;
        if (call % 4 == 2) break;
        send();  // refused in place
      }
    } catch (const error&) {  // how it ends is the fuzzer's choice; that it ends is what counts
    }
  }
}

}  // namespace sluice::test

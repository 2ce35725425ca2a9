#include "frames_fuzz.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../codec/memory_journal.hpp"
#include "../codec/peers.hpp"
#include "choices.hpp"
#include "sluice/codec.hpp"
#include "sluice/codec/detail/pack_buffer.hpp"
#include "sluice/ipc.hpp"

namespace sluice::test {
namespace {

using codec::FrameHead;
using codec::FrameKind;
using codec::Id;
using codec::Observed;
using codec::Peer;
using codec::Pending;
using codec::SlowPolicy;

constexpr std::size_t kMostFrames = 200;
constexpr std::size_t kMostOfEach = 6;  // calls, streams and answers that are open at once

/// What is behind the kind of each frame: i id, n number, t name or text, v value.
constexpr std::array<std::string_view, 17> kForms{"tnnin", "ittv",      "iv",     "int",     "i",  "ttv",
                                                  "ittv",  "innniittv", "innnni", "innnnnv", "in", "int",
                                                  "in",    "in",        "i",      "t",       "nn"};

PortOptions small_port() {
  PortOptions options;
  options.ring_bytes = 1 << 14;
  return options;
}

/// What both peers serve.
struct Served {
  Served() {
    registry.actor("a")
        .state("s", state)
        .state("j", journaled)
        .method("add", [](int a, std::optional<int> b) { return a + b.value_or(0) % 1000; })
        .method("echo", [](const std::string& text) { return text; })
        .method("fail", [] { throw std::runtime_error("as asked"); })
        .method("keep", [this](codec::Reply<int> reply, std::uint8_t) {
          if (kept.size() < kMostOfEach) kept.push_back(std::move(reply));
        });
  }

  codec::Registry registry;
  codec::ObservableState<std::uint32_t> state{
      0, {.retained_items = 4, .retention = std::chrono::seconds(1), .longest_wait = {}}};
  std::shared_ptr<MemoryJournal> journal = std::make_shared<MemoryJournal>(0);
  codec::ObservableState<std::uint32_t> journaled{
      0, {.retained_items = 2, .longest_wait = {}, .journal = journal}};
  std::vector<codec::Reply<int>> kept{};
};

/// One that is left alone.
class Bystander {
 public:
  explicit Bystander(Served& served)
      : served_(served),
        peers_({.registry = &served.registry}, {}, small_port()),
        stream_(peers_.client.observe<std::uint32_t>("a", "s")) {
    peers_.server.start();
  }

  void require_that_it_works() {
    require(peers_.client.call<int>("a", "add", 1, 2) == 3);
    served_.state = 0xffffffffU;
    for (const std::uint32_t value : stream_) {
      if (value == 0xffffffffU) return;
    }
    require(false);
  }

 private:
  Served& served_;
  Peers peers_;
  Observed<std::uint32_t> stream_;
};

class Attack {
 public:
  Attack(Served& served, std::span<const std::byte> input)
      : served_(served),
        choices_(input),
        ports_(make_port_pair(small_port(), small_port())),
        peer_(std::move(ports_.first), options()) {}

  bool run() {
    if (choices_.byte() % 8 != 0) say_hello();
    for (std::size_t i = 0; i < kMostFrames && !choices_.empty() && peer_.is_open(); ++i) {
      step();
      (void)peer_.poll();
      take_what_it_sends();
    }
    if (peer_.is_open()) return true;
    require(peer_.status() == Status::broken && !peer_.failure_text().empty());
    for (auto& stream : streams_) {
      while (stream.try_next() != nullptr || stream.status() == Status::malformed) {
      }
      require(stream.status() != Status::timed_out);
    }
    for (auto& call : calls_) require(call.ready());
    return false;
  }

 private:
  codec::PeerOptions options() const {
    codec::PeerOptions options{.registry = &served_.registry};
    options.max_calls = kMostOfEach;
    options.max_streams = kMostOfEach;
    options.max_kept_bytes = 1 << 14;
    return options;
  }

  void step() {
    const auto what = choices_.byte() % 16;
    if (what < 9) return send_frame();
    if (what == 9) return post(choices_.bytes(choices_.byte()));
    if (what == 10) return change_states();
    if (what == 11) return answer_kept();
    if (what == 12) return change_calls();
    if (what == 13) return change_streams();
    if (what == 14) return peer_.send("x", "y", choices_.byte());
    for (auto& stream : streams_) (void)stream.try_next();
  }

  void change_states() {
    served_.state.set(choices_.byte());
    const std::uint8_t how = choices_.byte();
    served_.journal->unreadable = how % 16 == 0;
    served_.journal->full = how % 16 == 1;
    if (how % 16 == 2) served_.journal->keep(3);
    try {
      served_.journaled.set(how);
    } catch (const error&) {
      require(served_.journal->full);
    }
  }
  void answer_kept() {
    for (auto& reply : served_.kept) reply(7);
    served_.kept.clear();
  }
  void change_calls() {
    if (calls_.size() == kMostOfEach) {
      calls_.erase(calls_.begin() + choices_.byte() % static_cast<int>(kMostOfEach));
    } else {
      calls_.push_back(peer_.call_async<std::string>("x", "y", choices_.byte()));
    }
  }
  void change_streams() {
    if (streams_.size() == kMostOfEach) {
      streams_.erase(streams_.begin() + choices_.byte() % static_cast<int>(kMostOfEach));
    } else {
      codec::ObserveOptions options{.slow = SlowPolicy::block, .window = 1U + choices_.byte() % 8U};
      options.delta = choices_.byte() % 2 == 0;
      streams_.push_back(peer_.observe<std::uint32_t>("x", "s", options));
    }
  }

  void say_hello() {
    FrameHead hello(FrameKind::hello, 6);
    hello.text("sluice").number(1).number(choices_.byte() % 4 == 0 ? 1 : 0).id(Id{1}).number(0);
    post(hello.bytes());
  }

  void post(std::span<const std::byte> frame) {
    require(ports_.second.post_message(frame) != Status::too_large);
  }

  /// One of the right form, or nearly.
  void send_frame() {
    const auto kind = static_cast<std::uint8_t>(choices_.byte() % kForms.size());
    const std::string_view form = kForms.at(kind);
    std::vector<std::byte> frame{static_cast<std::byte>(0x91 + form.size()), static_cast<std::byte>(kind)};
    for (const char item : form) add_item(frame, item);
    const std::uint8_t damage = choices_.byte();
    if (damage >= 0xf0 && damage < 0xf8)
      frame[choices_.byte() % frame.size()] = static_cast<std::byte>(choices_.byte());
    if (damage >= 0xf8) frame.resize(choices_.byte() % (frame.size() + 8));
    post(frame);
  }

  void add_item(std::vector<std::byte>& frame, char item) {
    FrameHead part(FrameKind::hello, 0);
    if (item == 'i') part.id(some_id());
    if (item == 'n') part.number(some_number());
    if (item == 't') part.text(some_text());
    const auto packed = part.bytes().subspan(2);
    frame.insert(frame.end(), packed.begin(), packed.end());
    if (item == 'v') add_value(frame);
  }

  void add_value(std::vector<std::byte>& frame) {
    codec::detail::PackBuffer packed;
    switch (choices_.byte() % 8) {
      case 0:
        packed.pack_array(choices_.byte(), choices_.byte());
        break;
      case 1:
        packed.pack_array("text");
        break;
      case 2:
        packed.pack(std::map<std::string, unsigned>{{"credit", choices_.byte()}});
        break;
      case 3:
        packed.pack(std::map<std::string, std::string>{{"slow", "block"}});
        break;
      case 4:
        packed.pack(choices_.word());
        break;
      case 5:
        packed.pack(std::map<std::string, std::string>{{"delta", "generic"}, {"slow", "block"}});
        break;
      case 6:
        packed.pack(std::map<std::string, std::string>{{"filter", "changed"}});
        break;
      default:
        const auto raw = choices_.bytes(choices_.byte() % 32U);
        frame.insert(frame.end(), raw.begin(), raw.end());
        return;
    }
    frame.insert(frame.end(), packed.bytes().begin(), packed.bytes().end());
  }

  Id some_id() {
    const std::uint8_t which = choices_.byte();
    if (which % 2 == 0 && !seen_.empty()) return seen_[which / 2 % seen_.size()];
    return Id{static_cast<std::uint8_t>(which % 8U)};
  }
  std::uint64_t some_number() {
    const std::uint8_t number = choices_.byte();
    if (number < 200) return number % 16U;
    if (number < 240) return choices_.word();
    return std::uint64_t{0} - (number - 240U);
  }
  std::string some_text() {
    constexpr std::array<std::string_view, 9> kTexts{"a",    "s",    "j",      "add", "echo",
                                                     "fail", "keep", "sluice", ""};
    const std::uint8_t which = choices_.byte();
    if (which < 240) return std::string(kTexts.at(which % kTexts.size()));
    std::string text;
    text.assign(choices_.word() % 1100, 'x');
    return text;
  }

  /// Its frames are whole; the ids in them are worth using.
  void take_what_it_sends() {
    while (const Message message = ports_.second.try_receive()) {
      codec::FrameReader frame(message.bytes());
      const auto items = frame.array();
      const auto kind = frame.number();
      require(frame.ok() && kind <= codec::kLastFrameKind);
      const std::string_view form = kForms.at(kind);
      require(items == form.size() + 1);
      for (const char item : form) {
        if (item == 'i') learn(frame.id());
        if (item == 'n') frame.number();
        if (item == 't') frame.text(codec::kMaxTextBytes);
        if (item == 'v') require(!frame.rest().empty());
      }
      require(form.back() == 'v' ? frame.ok() : frame.whole());
    }
  }
  void learn(const Id& id) {
    if (seen_.size() < 100 && std::find(seen_.begin(), seen_.end(), id) == seen_.end()) seen_.push_back(id);
  }

  Served& served_;
  Choices choices_;
  std::pair<Port, Port> ports_;
  Peer peer_;
  std::vector<Pending<std::string>> calls_;
  std::vector<Observed<std::uint32_t>> streams_;
  std::vector<Id> seen_;
};

}  // namespace

bool fuzz_frames(std::span<const std::byte> input) {
  Served served;
  Bystander bystander(served);
  const bool went_on = Attack(served, input).run();
  bystander.require_that_it_works();
  return went_on;
}

}  // namespace sluice::test

// Each system call of a session, a plain port and a stream fails once, in every way that it can: the call is
// retried or the failure is told, no message is lost or altered, nothing is left open, and the next try
// works.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "child_process.hpp"
#include "failing_system_call.hpp"
#include "open_descriptors.hpp"
#include "running_threads.hpp"
#include "session_parts.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "two_processes.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

/// While a call fails nobody waits long for a peer that doesn't come back.
constexpr auto kImpatient = 300ms;
constexpr auto kPatient = 20s;

const PortOptions kSmall{.ring_bytes = 4096, .wait = {.strategy = WaitStrategy::sleep}};

/// Whether a message comes. Ends the process if it is another one than it should be.
bool hears(Port& port, std::string_view text, std::chrono::nanoseconds patience) {
  const Message message = port.receive_for(patience);
  if (!message || message.text() == text) return static_cast<bool>(message);
  std::fprintf(stderr, "expected \"%s\", got \"%s\"\n", std::string(text).c_str(),
               std::string(message.text()).c_str());
  ::_exit(10);
}

/// The side whose calls fail: true if everything went well; false, or an exception, if something was
/// reported.
using Act = std::function<bool(const std::string& path, std::chrono::nanoseconds patience)>;
/// The other side, in a process of its own: tries until it is killed.
using Counterpart = std::function<void(const std::string& path)>;

struct Scene {
  const char* name;
  Act act;
  Counterpart counterpart;
};

bool connects(const std::string& path, std::chrono::nanoseconds patience) {
  Port port = connect(path, {.port = kSmall, .timeout = patience});
  return port.post_message("there") == Status::ok && hears(port, "back", patience) &&
         port.wait_until_consumed(deadline_in(patience)) == Status::ok;
}

bool accepts(const std::string& path, std::chrono::nanoseconds patience) {
  Listener listener = listen(path, {.port = kSmall, .handshake_timeout = patience});
  std::optional<Port> port = listener.accept_for(patience);
  return port && hears(*port, "there", patience) && port->post_message("back") == Status::ok &&
         port->wait_until_consumed(deadline_in(patience)) == Status::ok;
}

/// Opens a session and lives through the death of the first peer.
bool resumes(Role role, const std::string& path, std::chrono::nanoseconds patience) {
  Port port = open_session(role, path, {.port = kSmall, .timeout = patience, .resume_window = patience});
  for (const std::string_view question : {"one", "two"}) {
    if (port.post_message(question) != Status::ok || !hears(port, question, patience)) return false;
  }
  return port.wait_until_consumed(deadline_in(patience)) == Status::ok;
}

/// Answers one question and dies, or closes.
void answer_in(Role role, const std::string& path, bool dies) {
  Port port = open_session(role, path, {.port = kSmall, .timeout = kPatient});
  const std::string question(port.receive_for(kPatient).text());
  (void)port.post_message(question);
  (void)port.wait_until_consumed(deadline_in(kPatient));
  if (dies) ::_exit(0);
}

void answers(Role role, const std::string& path) {
  ChildProcess first([&] { answer_in(role, path, true); });
  (void)first.wait_for(60s);
  answer_in(role, path, false);
}

constexpr std::array kBlocks{std::string_view("first block"), std::string_view("second"),
                             std::string_view("third")};

bool streams(const std::string& path, std::chrono::nanoseconds patience) {
  Port port = connect(path, {.port = kSmall, .timeout = patience});
  send_port_stream(port, kBlocks, {.ack_timeout = patience});
  return true;
}

bool takes_stream(const std::string& path, std::chrono::nanoseconds patience) {
  Listener listener = listen(path, {.port = kSmall, .handshake_timeout = patience});
  std::optional<Port> port = listener.accept_for(patience);
  if (!port) return false;
  std::size_t next = 0;
  for (const auto block : receive_port_stream(*port, {.idle_timeout = patience})) {
    const std::string_view got(reinterpret_cast<const char*>(block.data()), block.size());
    if (next == kBlocks.size() || got != kBlocks.at(next++)) ::_exit(10);
  }
  return next == kBlocks.size();
}

const Scene kScenes[] = {
    {"Connecting", connects, [](const std::string& path) { (void)accepts(path, kPatient); }},
    {"Accepting", accepts, [](const std::string& path) { (void)connects(path, kPatient); }},
    {"Hosting", [](const std::string& path, auto patience) { return resumes(Role::host, path, patience); },
     [](const std::string& path) { answers(Role::join, path); }},
    {"Joining", [](const std::string& path, auto patience) { return resumes(Role::join, path, patience); },
     [](const std::string& path) { answers(Role::host, path); }},
    {"Streaming", streams, [](const std::string& path) { (void)takes_stream(path, kPatient); }},
    {"TakingAStream", takes_stream, [](const std::string& path) { (void)streams(path, kPatient); }},
};

/// Beside the acting process: a counterpart that comes again whenever it fails.
ChildProcess counterpart_of(const Scene& scene, const std::string& path) {
  return ChildProcess([&scene, path] {
    for (;;) {
      try {
        scene.counterpart(path);
      } catch (const std::exception&) {
        ::usleep(1000);
      }
    }
  });
}

/// In the traced process: once while a call fails, once more when nothing does.
int act_twice(const Scene& scene, const TestChannel& first, const TestChannel& second) {
  const std::size_t descriptors = open_descriptors();
  {
    const ChildProcess counterpart = counterpart_of(scene, first.path());
    begin_failing();
    try {
      (void)scene.act(first.path(), kImpatient);
    } catch (const std::exception& failure) {
      if (std::string_view(failure.what()).empty()) return 11;
    }
    end_failing();
  }
  // The process-wide threads end a moment after their last user.
  for (int i = 0; i < 1000 && open_descriptors() != descriptors; ++i) ::usleep(1000);
  if (open_descriptors() != descriptors) return 12;
  for (const TestChannel* channel : {&first, &second}) {
    const ChildProcess counterpart = counterpart_of(scene, channel->path());
    try {
      if (!scene.act(channel->path(), kPatient)) return 13;
    } catch (const std::exception& failure) {
      std::fprintf(stderr, "the next try: %s\n", failure.what());
      return 14;
    }
  }
  return 0;
}

class EverySystemCall : public ::testing::TestWithParam<std::tuple<Scene, int>> {};

TEST_P(EverySystemCall, MayFailOnceAndIsRetriedOrTold) {
  const Scene& scene = std::get<0>(GetParam());  // clang 14 lets no lambda have a structured binding
  const int code = std::get<1>(GetParam());
  for (std::uint64_t nth = 0;; ++nth) {
    const TestChannel first;
    const TestChannel second;
    const FailedRun run =
        run_with_failing_call([&] { return act_twice(scene, first, second); }, nth, code, 60s);
    EXPECT_TRUE(run.exited_with(0)) << "call " << nth << ", " << std::strerror(code) << ": " << run.text();
    if (!run.happened || HasFailure()) break;
  }
}

std::string name_of(int code) {
  return ::strerrorname_np(code);
}

INSTANTIATE_TEST_SUITE_P(Of, EverySystemCall,
                         ::testing::Combine(::testing::ValuesIn(kScenes),
                                            ::testing::Values(EINTR, EAGAIN, EMFILE, ENOMEM, ENOSPC, EIO,
                                                              EPERM)),
                         [](const auto& tested) {
                           return std::string(std::get<0>(tested.param).name) + "With" +
                                  name_of(std::get<1>(tested.param));
                         });

}  // namespace
}  // namespace sluice::test

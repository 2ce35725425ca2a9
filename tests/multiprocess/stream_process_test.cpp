// Streams between two processes over shared memory, and what a killed process leaves to the other.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "frames.hpp"
#include "process_signal.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "transports.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::Bytes;
using test::ending_of;

class StreamProcesses : public ::testing::TestWithParam<test::StreamWay> {
 protected:
  PortStreamOptions options() const { return {.ack_timeout = 30s, .reading = test::reading_of(GetParam())}; }

  test::TestChannel channel_;
  test::Watchdog watchdog_{60s, "two processes and a stream"};
};

INSTANTIATE_TEST_SUITE_P(Ways, StreamProcesses, ::testing::ValuesIn(test::kStreamWays),
                         [](const auto& way) { return test::name_of(way.param); });

TEST_P(StreamProcesses, CarryAStreamEachWay) {
  constexpr std::size_t kBlocks = 2000;
  const auto block = [](std::size_t k) { return Bytes(k * 37 % 50'000, static_cast<std::byte>(k)); };
  Listener listener = listen(channel_.path());
  auto child = test::connecting_child(channel_, [&](Port& port) {
    auto stream = create_port_stream(port, options());
    std::size_t k = 0;
    stream.receive([&](std::span<const std::byte> came) {
      const Bytes expected = block(k++);
      EXPECT_TRUE(std::equal(came.begin(), came.end(), expected.begin(), expected.end())) << k;
    });
    stream.send(std::to_string(k));
  });
  Port port = listener.accept();
  test::prepare(port, GetParam());
  auto stream = create_port_stream(port, options());
  Bytes present;
  std::size_t k = 0;
  stream.send(BlockSource([&]() -> std::optional<std::span<const std::byte>> {
    if (k == kBlocks) return std::nullopt;
    present = block(k++);
    return present;
  }));
  std::string answer;
  stream.receive([&](std::span<const std::byte> came) {
    answer.append(reinterpret_cast<const char*>(came.data()), came.size());
  });
  EXPECT_EQ(answer, std::to_string(kBlocks));
  const auto status = child.wait_for(20s);
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(status->ok()) << to_string(*status);
}

/// Processor time of this process, and the most memory it ever held.
struct Usage {
  std::chrono::microseconds processor;
  long peak_kib;

  static Usage now() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto time = [](const timeval& value) {
      return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
    };
    return {time(usage.ru_utime) + time(usage.ru_stime), usage.ru_maxrss};
  }
};

TEST_P(StreamProcesses, CostTheSenderNothingWhileTheConsumerStops) {
  // A minute where SLUICE_LONG_TESTS asks for it.
  const auto pause = std::getenv("SLUICE_LONG_TESTS") != nullptr ? 60s : 3s;
  const test::Watchdog patience{pause + 60s, "a consumer that stops"};
  Listener listener = listen(channel_.path());
  const test::ProcessSignal stopped;
  auto child = test::connecting_child(channel_, [&](Port& port) {
    auto stream = create_port_stream(port, options());
    std::size_t seen = 0;
    stream.receive([&](auto /*block*/) {
      if (++seen != 100) return;
      stopped.notify();
      std::this_thread::sleep_for(pause);  // what is tested
    });
    EXPECT_EQ(seen, 10'000U);
  });
  Port port = listener.accept();
  test::prepare(port, GetParam());
  auto patient = options();
  patient.ack_timeout = 2 * pause + 20s;
  auto sending = std::async(std::launch::async, [&] {
    return create_port_stream(port, patient).send(std::vector<Bytes>(10'000, Bytes(1000))).blocks;
  });
  stopped.wait();
  std::this_thread::sleep_for(500ms);  // it fills the window meanwhile
  const Usage before = Usage::now();
  std::this_thread::sleep_for(pause - 1s);
  const Usage after = Usage::now();
  const auto busy = after.processor - before.processor;
  std::printf("busy for %lld us of %lld s\n", static_cast<long long>(busy.count()),
              static_cast<long long>((pause - 1s).count()));
  EXPECT_LT(busy, std::chrono::microseconds(pause - 1s) / 50) << busy.count() << " us";
  EXPECT_LE(after.peak_kib - before.peak_kib, 512);
  EXPECT_EQ(sending.get(), 10'000U);
}

TEST_P(StreamProcesses, NoticeAReceiverThatIsKilled) {
  Listener listener = listen(channel_.path());
  const test::ProcessSignal consuming;
  auto child = test::connecting_child(channel_, [&](Port& port) {
    auto stream = create_port_stream(port, options());
    std::size_t seen = 0;
    stream.receive([&](auto /*block*/) {
      if (++seen != 100) return;
      consuming.notify();
      test::ProcessSignal().wait();  // for ever
    });
  });
  Port port = listener.accept();
  test::prepare(port, GetParam());
  std::thread killer([&] {
    consuming.wait();
    child.signal(SIGKILL);
  });
  EXPECT_EQ(
      ending_of([&] { create_port_stream(port, options()).send(std::vector<Bytes>(100'000, Bytes(1000))); }),
      stream_errc::peer_died);
  killer.join();
}

TEST_P(StreamProcesses, NoticeAReceiverThatIsKilledWhileTheInputIsSilent) {
  Listener listener = listen(channel_.path());
  const test::ProcessSignal consuming;
  auto child = test::connecting_child(channel_, [&](Port& port) {
    create_port_stream(port, options()).receive([&](auto /*block*/) {
      consuming.notify();
      test::ProcessSignal().wait();  // for ever
    });
  });
  Port port = listener.accept();
  test::prepare(port, GetParam());
  const auto silent = test::make_pipe();
  ASSERT_EQ(::write(silent.second.get(), "x", 1), 1);
  std::thread killer([&] {
    consuming.wait();
    child.signal(SIGKILL);
  });
  EXPECT_EQ(ending_of([&] { create_port_stream(port, options()).send_from(silent.first.get()); }),
            stream_errc::peer_died);
  killer.join();
}

TEST_P(StreamProcesses, NoticeASenderThatIsKilledAfterItsBlocksHaveCome) {
  Listener listener = listen(channel_.path());
  auto child = test::connecting_child(channel_, [&](Port& port) {
    std::size_t given = 0;
    const Bytes block(10);
    create_port_stream(port, options()).send(BlockSource([&]() -> std::optional<std::span<const std::byte>> {
      if (++given == 50) ::raise(SIGKILL);
      return block;
    }));
  });
  Port port = listener.accept();
  test::prepare(port, GetParam());
  std::size_t seen = 0;
  EXPECT_EQ(ending_of([&] { create_port_stream(port, options()).receive([&](auto /*block*/) { ++seen; }); }),
            stream_errc::peer_died);
  EXPECT_EQ(seen, 49U);
}

TEST_P(StreamProcesses, NoticeASenderThatIsKilledBeforeItsFirstBlock) {
  Listener listener = listen(channel_.path());
  auto child = test::connecting_child(channel_, [&](Port& /*port*/) { ::raise(SIGKILL); });
  Port port = listener.accept();
  test::prepare(port, GetParam());
  EXPECT_EQ(ending_of([&] { create_port_stream(port, options()).receive([](auto /*block*/) {}); }),
            stream_errc::peer_died);
}

bool ends_well(pid_t child) {
  int status = -1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

/// Whether a forked child, given 10 s, finds `body` true.
template <typename Body>
bool true_in_a_child(Body body) {
  const pid_t heir = ::fork();
  if (heir == 0) {
    ::alarm(10);
    bool holds = false;
    try {
      holds = body();
    } catch (...) {  // false
    }
    ::_exit(holds ? 0 : 1);
  }
  return ends_well(heir);
}

template <typename Call>
bool is_misuse(Call call) {
  try {
    call();
  } catch (const error& failure) {
    return failure.code() == errc::misuse;
  }
  return false;
}

TEST_P(StreamProcesses, RefuseUseInAForkedChildAndStayWhole) {
  Listener listener = listen(channel_.path());
  auto peer = test::connecting_child(channel_, [&](Port& port) {
    auto stream = create_port_stream(port, options());
    EXPECT_EQ(stream.receive([](auto /*block*/) {}).blocks, 2U);
    stream.send(std::vector<Bytes>(2, Bytes(10)));
  });
  Port port = listener.accept();
  test::prepare(port, GetParam());
  std::optional<PortStream> stream = create_port_stream(port, options());

  // A thread that waits in the stream, and whose consumer forks: the child's copy of the loop ends.
  auto receiving = std::async(std::launch::async, [&] {
    pid_t heir = -1;
    std::size_t seen = 0;
    const bool refused = is_misuse([&] {
      stream->receive([&](auto /*block*/) {
        if (++seen == 1) heir = ::fork();
      });
    });
    if (heir == 0) ::_exit(refused ? 0 : 1);
    return !refused && seen == 2 && ends_well(heir);
  });
  std::this_thread::sleep_for(20ms);  // it waits by now, most likely
  const Bytes block(10);
  EXPECT_TRUE(true_in_a_child([&] {
    return is_misuse([&] { stream->send(block); }) && is_misuse([&] { (void)stream->receive(); });
  }));
  EXPECT_TRUE(true_in_a_child([&] {
    stream->close();
    stream.reset();
    return true;
  }));

  // The same in the middle of a send.
  pid_t heir = -1;
  int given = 0;
  const bool refused = is_misuse([&] {
    stream->send(BlockSource([&]() -> std::optional<std::span<const std::byte>> {
      if (++given == 2) heir = ::fork();
      return given > 2 ? std::nullopt : std::optional<std::span<const std::byte>>(block);
    }));
  });
  if (heir == 0) {
    stream.reset();
    ::_exit(refused ? 0 : 1);
  }
  EXPECT_FALSE(refused);
  EXPECT_TRUE(ends_well(heir));
  EXPECT_TRUE(receiving.get());
}

}  // namespace
}  // namespace sluice

// Against an independent endpoint of the published protocol: another process, another language, over pipes.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "child_process.hpp"
#include "frames.hpp"
#include "places.hpp"
#include "sluice/ipc/stream/port_stream.hpp"
#include "temp_directory.hpp"
#include "transports.hpp"
#include "watchdog.hpp"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::ending_of;

const std::string kEndpoint = sluice::test::source_dir() + "/tests/ipc/stream/published_endpoint.py";

std::string content(std::size_t bytes) {
  std::string text(bytes, '\0');
  std::uint32_t state = 12345;
  for (char& character : text) {
    state = state * 1664525 + 1013904223;
    character = static_cast<char>(state >> 24U);
  }
  return text;
}

class PublishedEndpoint : public ::testing::TestWithParam<StreamReading> {
 protected:
  void SetUp() override {
    if (::access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "no /usr/bin/python3";
  }

  /// Starts the endpoint; ours() is then the port at its other end.
  std::unique_ptr<test::ChildProcess> start(std::vector<std::string> arguments) {
    auto [their_input, our_output] = test::make_pipe();
    auto [our_input, their_output] = test::make_pipe();
    arguments.insert(arguments.begin(), {"python3", kEndpoint});
    auto child =
        std::make_unique<test::ChildProcess>([&, input = their_input.get(), output = their_output.get()] {
          ::dup2(input, STDIN_FILENO);
          ::dup2(output, STDOUT_FILENO);
          std::vector<char*> words;
          for (std::string& word : arguments) words.push_back(word.data());
          words.push_back(nullptr);
          ::execv("/usr/bin/python3", words.data());
          return 127;
        });
    ours_.emplace(wrap_native_port(std::move(our_input), std::move(our_output)));
    return child;
  }

  PortStreamOptions options() const {
    return {.ack_timeout = 20s, .chunk_bytes = 10'000, .reading = GetParam()};
  }
  std::string path(const char* name) const { return directory_.file(name).string(); }

  test::TempDirectory directory_;
  std::optional<NativePort> ours_;
  test::Watchdog watchdog_{60s, "an exchange with the published endpoint"};
};

INSTANTIATE_TEST_SUITE_P(Uses, PublishedEndpoint, ::testing::ValuesIn(test::kStreamReadings),
                         [](const auto& use) { return test::name_of(use.param); });

TEST_P(PublishedEndpoint, ReceivesWhatWeSend) {
  const std::string sent = content(1'000'003);
  auto child = start({"recv", path("out")});
  EXPECT_EQ(create_port_stream(*ours_, options()).send(sent).blocks, 101U);
  const auto status = child->wait_for(20s);
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(status->ok()) << to_string(*status);
  std::ifstream file(path("out"), std::ios::binary);
  EXPECT_TRUE(std::string(std::istreambuf_iterator<char>(file), {}) == sent);
}

TEST_P(PublishedEndpoint, SendsWhatWeReceive) {
  const std::string sent = content(1'000'003);
  std::ofstream(path("in"), std::ios::binary) << sent;
  auto child = start({"send", "--block", "65536", path("in")});
  std::string received;
  const auto totals = create_port_stream(*ours_, options()).receive([&](std::span<const std::byte> block) {
    received.append(reinterpret_cast<const char*>(block.data()), block.size());
  });
  EXPECT_EQ(totals.blocks, 16U);
  EXPECT_TRUE(received == sent);
  const auto status = child->wait_for(20s);
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(status->ok()) << to_string(*status);
}

TEST_P(PublishedEndpoint, StopsWhenOurConsumerStops) {
  std::ofstream(path("in"), std::ios::binary) << content(500'000);
  auto child = start({"send", "--block", "1000", path("in")});
  {
    auto stream = create_port_stream(*ours_, options());
    std::size_t seen = 0;
    for ([[maybe_unused]] const auto block : stream.receive()) {
      if (++seen == 5) break;
    }
  }
  const auto status = child->wait_for(20s);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->code, 1);
}

TEST_P(PublishedEndpoint, StopsUsByRejectingABlock) {
  auto child = start({"recv", "--stop-after", "3", path("out")});
  EXPECT_EQ(ending_of([&] { create_port_stream(*ours_, options()).send(content(500'000)); }),
            stream_errc::rejected);
  const auto status = child->wait_for(20s);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->code, 1);
}

TEST_P(PublishedEndpoint, IsKilledAndWeNotice) {
  auto child = start({"recv", path("out")});
  std::size_t given = 0;
  const std::string block = content(1000);
  EXPECT_EQ(ending_of([&] {
              create_port_stream(*ours_, options())
                  .send(BlockSource([&]() -> std::optional<std::span<const std::byte>> {
                    if (++given == 30) child->signal(SIGKILL);
                    return std::as_bytes(std::span(block));
                  }));
            }),
            stream_errc::closed);
}

}  // namespace
}  // namespace sluice

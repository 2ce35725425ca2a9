// A session beside a sealed journal: what the ring no longer holds comes from there, and what a killed
// producer had only written down is posted by the next one. Messages and records have the same numbers.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <span>
#include <vector>

#include "number_message.hpp"
#include "report.hpp"
#include "session_parts.hpp"
#include "sluice/crypto/journal/journal_reader.hpp"
#include "sluice/crypto/journal/sealed_journal.hpp"
#include "temp_directory.hpp"
#include "two_processes.hpp"
#include "watchdog.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

std::uint64_t number_in(std::span<const std::byte> record) {
  std::uint64_t number = 0;
  if (record.size() == sizeof number) std::memcpy(&number, record.data(), sizeof number);
  return number;
}

class JournaledSession : public ::testing::Test {
 protected:
  static crypto::SecretKey key() {
    return crypto::SecretKey::from_bytes(std::vector<std::byte>(crypto::SecretKey::kSize, std::byte{7}));
  }
  crypto::SealedJournal open_journal() const {
    return {directory_.file("journal"), key(), {.sync = crypto::SyncPolicy::none}};
  }
  crypto::JournalReader read_journal(const crypto::Keys& keys, std::uint64_t from) const {
    return {directory_.file("journal"), keys, "", from};
  }

  const Watchdog watchdog_{60s, "a session with a journal"};
  TempDirectory directory_;
  TestChannel channel_;
};

TEST_F(JournaledSession, GivesARestartedConsumerWhatTheRingNoLongerHolds) {
  constexpr std::uint64_t kBefore = 2000;
  constexpr std::uint64_t kAll = 2100;
  constexpr std::uint64_t kHandled = 100;
  Report report;
  const ChildProcess first([&] {
    Port port = join_session(channel_.path());
    for (std::uint64_t number = 1; number <= kBefore; ++number) (void)port.receive();
    report.say(kBefore);
    ::pause();
  });
  Events events;
  crypto::SealedJournal journal = open_journal();
  SessionOptions producing{.port = {.ring_bytes = 4096}};
  producing.on_state = [&journal, tell = events.handler()](const SessionEvent& event) {
    if (event.state == SessionState::waiting_for_peer) journal.flush();  // before anybody can ask for it
    tell(event);
  };
  Port port = host_session(channel_.path(), producing);
  const auto publish = [&](std::uint64_t number) {
    ASSERT_EQ(journal.append(bytes_of(number)), port.next_sequence());
    ASSERT_EQ(port.post_message(bytes_of(number)), Status::ok);
  };
  for (std::uint64_t number = 1; number <= kBefore; ++number) publish(number);
  ASSERT_EQ(report.hear(), kBefore);
  first.signal(SIGKILL);
  ASSERT_TRUE(events.wait_for(SessionState::waiting_for_peer));

  const auto session = port.session()->id;
  ChildProcess second([&] {
    Events mine;
    SessionOptions options;
    options.on_state = mine.handler();
    options.checkpoint = StreamCheckpoint{.session = session, .sequence = kHandled};
    Port consumer = join_session(channel_.path(), options);
    const auto gap = mine.wait_for(SessionState::gap);
    ASSERT_TRUE(gap);
    ASSERT_EQ(gap->first, kHandled + 1);
    ASSERT_LT(gap->last, kBefore);
    const auto keys = key();
    crypto::JournalReader reader = read_journal(keys, gap->first);
    for (std::uint64_t number = gap->first; number <= gap->last; ++number) {
      const auto record = reader.next();
      ASSERT_TRUE(record);
      ASSERT_EQ(record->sequence, number);
      ASSERT_EQ(number_in(record->bytes), number);
    }
    for (std::uint64_t number = gap->last + 1; number <= kAll; ++number) {
      const Message message = consumer.receive();
      ASSERT_EQ(message.sequence(), number);
      ASSERT_EQ(test::number_in(message), number);
    }
  });
  ASSERT_TRUE(events.wait_for(SessionState::resumed));
  for (std::uint64_t number = kBefore + 1; number <= kAll; ++number) publish(number);
  const auto end = second.wait_for(20s);
  EXPECT_TRUE(end && end->ok());
}

TEST_F(JournaledSession, PostsWhatAKilledProducerHadOnlyWrittenDown) {
  constexpr std::uint64_t kKilledAt = 50;
  constexpr std::uint64_t kAll = 100;
  Report report;
  const auto produce = [&](std::uint64_t killed_at) {
    Port port = join_session(channel_.path());
    crypto::SealedJournal journal = open_journal();
    const auto keys = key();
    if (port.next_sequence() < journal.next_sequence()) {
      crypto::JournalReader reader = read_journal(keys, port.next_sequence());
      while (const auto record = reader.next()) {
        ASSERT_EQ(record->sequence, port.next_sequence());
        ASSERT_EQ(port.post_message(record->bytes), Status::ok);
      }
    }
    for (std::uint64_t number = port.next_sequence(); number <= kAll; ++number) {
      ASSERT_EQ(journal.append(bytes_of(number)), number);
      journal.flush();  // survives this process
      if (number == killed_at) {
        report.say(number);
        ::pause();
      }
      ASSERT_EQ(port.post_message(bytes_of(number)), Status::ok);
    }
    ASSERT_EQ(port.wait_until_consumed(), Status::ok);
  };
  const ChildProcess first([&] { produce(kKilledAt); });
  Port port = host_session(channel_.path());
  ASSERT_EQ(report.hear(), kKilledAt);
  first.signal(SIGKILL);
  ChildProcess second([&] { produce(0); });
  for (std::uint64_t number = 1; number <= kAll; ++number) {
    const Message message = port.receive();
    ASSERT_TRUE(message) << to_string(message.status());
    ASSERT_EQ(message.sequence(), number);
    ASSERT_EQ(test::number_in(message), number);
  }
  const auto end = second.wait_for(20s);
  EXPECT_TRUE(end && end->ok());
}

}  // namespace
}  // namespace sluice::test

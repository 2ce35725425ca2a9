// What a forked child inherits: it can use none of it, and does no harm to the parent.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <system_error>

#include "child_process.hpp"
#include "nameless_files.hpp"
#include "sluice/base/atomic_file.hpp"
#include "support.hpp"
#include "temp_directory.hpp"
#include "watchdog.hpp"

namespace {

/// LeakSanitizer doesn't know the stack of a child that another thread than the main one forked.
int leaks_unknown = 0;

}  // namespace

/// Asked by LeakSanitizer at the process's end.
extern "C" int __lsan_is_turned_off();   // NOLINT(bugprone-reserved-identifier): its name
extern "C" int __lsan_is_turned_off() {  // NOLINT(bugprone-reserved-identifier)
  return leaks_unknown;
}

namespace sluice::crypto::test {
namespace {

using namespace std::chrono_literals;
using sluice::test::ChildProcess;

/// A process is forked from another one, which is then killed.
class OrphanOfAKilledProcess {
 public:
  /// `body` runs in that other process, and calls its argument to be forked and killed.
  explicit OrphanOfAKilledProcess(const std::function<void(const std::function<void()>&)>& body) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::system_category(), "pipe2");
    const Descriptor read_end(ends[0]);
    Descriptor write_end(ends[1]);
    ChildProcess parent([&] {
      body([&] {
        if (::fork() == 0) {
          ::alarm(60);
          const pid_t self = ::getpid();  // said once fork() has returned here
          if (::write(write_end.get(), &self, sizeof self) != sizeof self) ::_exit(1);
        }
        for (;;) ::pause();
      });
    });
    write_end.reset();
    if (::read(read_end.get(), &pid_, sizeof pid_) != sizeof pid_)
      throw std::runtime_error("nothing was forked");
    parent.signal(SIGKILL);
  }
  OrphanOfAKilledProcess(const OrphanOfAKilledProcess&) = delete;
  OrphanOfAKilledProcess& operator=(const OrphanOfAKilledProcess&) = delete;
  ~OrphanOfAKilledProcess() { ::kill(pid_, SIGKILL); }
  bool is_alive() const { return ::kill(pid_, 0) == 0; }

 private:
  pid_t pid_ = -1;
};

class Inherited : public ::testing::Test {
 protected:
  /// Whether a forked child does this without a failed expectation, and ends.
  static bool in_child(const std::function<void()>& body) {
    ChildProcess child(body);
    const auto status = child.wait_for(30s);
    return status && status->ok();
  }
  static void expect_misuse(const std::function<void()>& call) {
    try {
      call();
      ADD_FAILURE() << "it was done";
    } catch (const error& failure) {
      EXPECT_EQ(failure.code(), sluice::errc::misuse) << failure.what();
      EXPECT_NE(std::string(failure.what()).find("fork"), std::string::npos) << failure.what();
    }
  }

  const SecretKey key_ = test_key();
  sluice::test::TempDirectory directory_;
  sluice::test::Watchdog watchdog_{60s, "a forked child"};
};

class InheritedJournal : public Inherited, public ::testing::WithParamInterface<SyncPolicy> {
 protected:
  std::filesystem::path path_ = directory_.file("journal");
  JournalOptions options_{.sync = GetParam(), .sync_interval = 20ms};
};

TEST_P(InheritedJournal, IsRefusedAndHarmsNothing) {
  std::optional<SealedJournal> journal(std::in_place, path_, key_, options_);
  journal->append(to_bytes("one"));
  journal->flush();
  journal->append(to_bytes("two"));  // in the buffer, unless the policy says otherwise
  EXPECT_TRUE(in_child([&] {
    EXPECT_EQ(journal->recovery().next_sequence, 1U);
    for (const std::function<void()>& call : std::initializer_list<std::function<void()>>{
             [&] { journal->append(to_bytes("other")); }, [&] { journal->flush(); }, [&] { journal->sync(); },
             [&] { journal->roll(); }, [&] { journal->prune_to_bytes(0); },
             [&] { journal->prune_older_than(0s); }, [&] { journal->prune_before(9); },
             [&] { journal->oldest_sequence(); }, [&] { journal->next_sequence(); },
             [&] { journal->durable_sequence(); }, [&] { journal->close(); }})
      expect_misuse(call);
    SealedJournal moved = std::move(*journal);
    expect_misuse([&] { moved.append(to_bytes("other")); });
  }));
  EXPECT_TRUE(in_child([&] { journal.reset(); }));
  EXPECT_TRUE(in_child([&] {
    const SealedJournal another(directory_.file("of the child"), key_, options_);  // as good as anybody's
  }));
  journal->append(to_bytes("three"));
  journal->close();
  EXPECT_EQ(verify_journal(path_, key_, ""), 3U);
}

TEST_P(InheritedJournal, LeavesTheLockToTheParentAlone) {
  std::optional<SealedJournal> journal(std::in_place, path_, key_, options_);
  ChildProcess idle([] { ::pause(); });
  EXPECT_TRUE(in_child([&] { journal.reset(); }));
  EXPECT_THROW(SealedJournal(path_, key_, options_), error) << "a child has given up its parent's lock";
  journal.reset();
  EXPECT_NO_THROW(SealedJournal(path_, key_, options_)) << "a child still has its parent's lock";
}

TEST_P(InheritedJournal, CanBeOpenedAgainIfTheWriterWasKilledAndItsChildLivesOn) {
  const OrphanOfAKilledProcess orphan([&](const std::function<void()>& fork_and_wait) {
    SealedJournal journal(path_, key_, options_);
    journal.append(to_bytes("one"));
    journal.sync();
    fork_and_wait();
  });
  EXPECT_NO_THROW(EXPECT_EQ(SealedJournal(path_, key_, options_).next_sequence(), 2U));
  EXPECT_TRUE(orphan.is_alive());
}

std::string policy_name(const ::testing::TestParamInfo<SyncPolicy>& policy) {
  return policy.param == SyncPolicy::each       ? "Each"
         : policy.param == SyncPolicy::interval ? "Interval"
                                                : "None";
}
INSTANTIATE_TEST_SUITE_P(OfEveryPolicy, InheritedJournal,
                         ::testing::Values(SyncPolicy::each, SyncPolicy::interval, SyncPolicy::none),
                         policy_name);

TEST_F(Inherited, JournalReaderIsRefused) {
  SealedJournal journal(directory_.file("journal"), key_);
  journal.append(to_bytes("one"));
  journal.append(to_bytes("two"));
  journal.sync();
  JournalReader reader(directory_.file("journal"), key_);
  EXPECT_TRUE(reader.next());
  EXPECT_TRUE(in_child([&] { expect_misuse([&] { reader.next(); }); }));
  EXPECT_TRUE(reader.next());
  EXPECT_FALSE(reader.next());
}

TEST_F(Inherited, EncryptorSealsNothingUnderTheParentsNonces) {
  VectorSink sink;
  StreamingEncryptor encryptor(sink, key_);
  encryptor.write(pattern(100'000));
  EXPECT_TRUE(in_child([&] {
    const auto before = sink.bytes().size();
    expect_misuse([&] { encryptor.write(pattern(200'000)); });
    expect_misuse([&] { encryptor.write({}); });
    expect_misuse([&] { encryptor.close(); });
    { const StreamingEncryptor gone = std::move(encryptor); }
    EXPECT_EQ(sink.bytes().size(), before);
  }));
  encryptor.close();
  EXPECT_EQ(open_bytes(sink.bytes(), key_), pattern(100'000));
}

TEST_F(Inherited, DecryptorsDontMoveTheParentsSource) {
  const Bytes plain = pattern(300'000);
  const auto path = directory_.file("sealed");
  write_file(path, seal_bytes(plain, key_));
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  FdSource source(file.get());
  StreamingDecryptor decryptor(source, key_);
  FdRandomAccess place(file.get());
  RandomAccessDecryptor random(place, key_);
  Bytes part(100'000);
  ASSERT_EQ(decryptor.read(part), part.size());
  EXPECT_TRUE(in_child([&] {
    expect_misuse([&] { decryptor.read(part); });
    expect_misuse([&] { decryptor.close(); });
    expect_misuse([&] { random.read(0, part); });
    EXPECT_EQ(random.size(), plain.size());
  }));
  Bytes rest(200'000);
  ASSERT_EQ(decryptor.read(rest), rest.size());
  decryptor.close();
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), plain.begin() + 100'000));
}

/// Gives a million bytes, and forks on the way: the child would go on with other ones.
class ForkingSource final : public ByteSource {
 public:
  std::size_t read(std::span<std::byte> into) override {
    constexpr std::size_t kBytes = 1'000'000;
    if (child_ < 0 && done_ > kBytes / 2) child_ = ::fork();
    if (child_ == 0) {  // its threads are missing: it may wait for them
      leaks_unknown = 1;
      std::signal(SIGALRM, SIG_DFL);
      ::alarm(1);
    }
    const std::size_t count = std::min(into.size(), kBytes - done_);
    std::fill_n(into.begin(), count, child_ == 0 ? std::byte{'B'} : std::byte{'A'});
    done_ += count;
    return count;
  }
  pid_t child() const { return child_; }

 private:
  std::size_t done_ = 0;
  pid_t child_ = -1;
};

TEST_F(Inherited, SealThatIsUnderWayGoesOnInTheParentOnly) {
  const auto path = directory_.file("sealed");
  const Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  FdSink sink(file.get());
  ForkingSource source;
  try {
    crypto::seal(source, sink, key_);
  } catch (const error&) {
    if (source.child() == 0) ::_exit(0);
    throw;
  }
  if (source.child() == 0) ::_exit(1);
  int status = -1;
  ASSERT_EQ(::waitpid(source.child(), &status, 0), source.child());
  EXPECT_TRUE(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)) << status;
  EXPECT_EQ(open_bytes(read_file(path), key_), Bytes(1'000'000, std::byte{'A'}));
}

TEST_F(Inherited, AtomicFileIsRefusedAndStays) {
  for (const bool named : {false, true}) {
    SCOPED_TRACE(named ? "with a temporary name" : "without a name");
    const auto path = directory_.file(named ? "named" : "nameless");
    ChildProcess parent([&] {
      if (named) sluice::test::refuse_nameless_files();
      std::optional<base::AtomicFile> file(std::in_place, path);
      file->write(to_bytes("hello"));
      EXPECT_TRUE(in_child([&] {
        expect_misuse([&] { file->write(to_bytes("other")); });
        expect_misuse([&] { file->expect(100'000'000); });
        expect_misuse([&] { file->expect_as_much_as(0); });
        expect_misuse([&] { file->fd(); });
        expect_misuse([&] { file->open_for_reading(); });
        expect_misuse([&] { file->commit(); });
      }));
      EXPECT_TRUE(in_child([&] { file.reset(); }));
      EXPECT_TRUE(in_child([&] { base::AtomicFile::remove_leftovers(AT_FDCWD, "named"); }));
      file->commit();
    });
    const auto status = parent.wait_for(30s);
    ASSERT_TRUE(status && status->ok());
    EXPECT_EQ(read_file(path), to_bytes("hello"));
  }
}

TEST_F(Inherited, AtomicFileOfAKilledWriterIsTakenOverThoughAChildLivesOn) {
  const auto path = directory_.file("out");
  const OrphanOfAKilledProcess orphan([&](const std::function<void()>& fork_and_wait) {
    sluice::test::refuse_nameless_files();
    const base::AtomicFile file(path);
    fork_and_wait();
  });
  base::AtomicFile file(path);
  file.write(to_bytes("new"));
  file.commit();
  EXPECT_EQ(read_file(path), to_bytes("new"));
  EXPECT_TRUE(orphan.is_alive());
}

TEST_F(Inherited, KeysAreValuesThatAChildMayUseButNotLocked) {
  KeyRing ring;
  ring.add(test_key(1));
  const Bytes sealed = seal_bytes(to_bytes("hello"), test_key(1));
  EXPECT_TRUE(in_child([&] {
    EXPECT_EQ(open_bytes(sealed, ring), to_bytes("hello"));
    EXPECT_EQ(key_.id(), test_key().id());
    EXPECT_FALSE(key_.locked());
    EXPECT_TRUE(ring.remove(test_key(1).id()));
  }));
  EXPECT_EQ(open_bytes(sealed, ring), to_bytes("hello"));
}

template <typename Object, typename... Uses>
void expect_misuse_after_move(Object& object, Uses... uses) {
  const Object taken(std::move(object));
  const auto refused = [&](auto use) { EXPECT_EQ(code_of([&] { use(object); }), sluice::errc::misuse); };
  (refused(uses), ...);
}

TEST(MovedFrom, ObjectsOfCryptoRefuseEveryUse) {
  const ScratchDirectory scratch;
  SecretKey key = test_key();
  SealedJournal journal(scratch / "journal", key);
  expect_misuse_after_move(
      journal, [](auto& of) { of.append({}); }, [](auto& of) { of.flush(); }, [](auto& of) { of.sync(); },
      [](auto& of) { of.roll(); }, [](auto& of) { of.prune_before(1); },
      [](auto& of) { (void)of.recovery(); }, [](auto& of) { (void)of.next_sequence(); },
      [](auto& of) { of.close(); });
  JournalReader reader(scratch / "journal", key);
  expect_misuse_after_move(
      reader, [](auto& of) { (void)of.next(); }, [](auto& of) { (void)of.position(); });
  VectorSink sink;
  StreamingEncryptor encryptor(sink, key);
  expect_misuse_after_move(
      encryptor, [](auto& of) { of.write({}); }, [](auto& of) { of.close(); });
  const Bytes sealed = seal_bytes(pattern(10), key);
  MemorySource source(sealed);
  StreamingDecryptor decryptor(source, key);
  expect_misuse_after_move(
      decryptor, [](auto& of) { (void)of.read({}); }, [](auto& of) { of.close(); },
      [](auto& of) { (void)of.chunk_bytes(); }, [](auto& of) { (void)of.is_legacy_v1(); });
  MemorySource anywhere(sealed);
  RandomAccessDecryptor random(anywhere, key);
  expect_misuse_after_move(
      random, [](auto& of) { (void)of.read(0, {}); }, [](auto& of) { (void)of.size(); });
  expect_misuse_after_move(
      key, [](auto& of) { (void)of.bytes(); }, [](auto& of) { (void)of.locked(); });
}

}  // namespace
}  // namespace sluice::crypto::test

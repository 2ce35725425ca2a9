#include "session_torture.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "child_process.hpp"
#include "failing_calls.hpp"
#include "session_parts.hpp"
#include "shared_page.hpp"
#include "tight_address_space.hpp"
#include "two_processes.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kPatience = 60s;
constexpr std::uint64_t kRingBytes = 16384;

/// What the processes of one side leave behind for their successors. Each word grows only, within a session.
struct SideBoard {
  std::atomic<std::uint64_t> ready{0};    ///< number of the process that opened the session last
  std::atomic<std::uint64_t> session{0};  ///< the beginning of its id
  std::atomic<std::uint64_t> posting{0};
  std::atomic<std::uint64_t> posted{0};
  std::atomic<std::uint64_t> handled{0};
  std::atomic<std::uint64_t> all_handled{0};  ///< of all sessions
  std::atomic<std::uint64_t> anew{0};         ///< sessions that were begun though something was stored
  std::atomic<bool> was_replaced{false};      ///< what was posted by then may have been left unread
};

struct TortureBoard {
  std::array<SideBoard, 2> sides;
  std::array<char, 240> complaint{};  ///< the first broken promise, before `broken` is set
  std::atomic<bool> broken{false};
  SideBoard& of(Role role) { return sides.at(role == Role::host ? 0 : 1); }

  void complain(Role role, const std::string& what) {
    if (broken) return;
    const std::string text = (role == Role::host ? "host: " : "joiner: ") + what;
    std::memcpy(complaint.data(), text.data(), std::min(text.size(), complaint.size() - 1));
    broken = true;
  }
};

void raise_to(std::atomic<std::uint64_t>& word, std::uint64_t value) {
  std::uint64_t before = word;
  while (before < value && !word.compare_exchange_weak(before, value)) {
  }
}

/// What a message says: which session it was posted in, by which side, as which number.
struct Content {
  std::uint64_t session = 0;
  std::uint64_t side = 0;
  std::uint64_t number = 0;
  std::uint64_t check = 0;

  static Content of(std::uint64_t session, Role side, std::uint64_t number) {
    const std::uint64_t which = side == Role::host ? 1 : 2;
    return {session, which, number, session ^ (which << 60U) ^ number};
  }
  bool operator==(const Content&) const = default;
};

struct WorkerOptions {
  Role role = Role::host;
  std::uint64_t number = 0;
  SessionOptions session{};
  std::string path;
  bool may_fail = false;  ///< for want of something
};

class Worker {
 public:
  Worker(WorkerOptions options, TortureBoard& board)
      : options_(std::move(options)), board_(board), own_(board.of(options_.role)) {}

  /// Until it is killed or replaced.
  void run() {
    options_.session.on_state = [this](const SessionEvent& event) { note(event); };
    port_.emplace(open_session(options_.role, options_.path, options_.session));
    begin();
    std::thread receiver;
    try {
      receiver = std::thread([this] { receive(); });
    } catch (const std::exception&) {
      die();
    }
    send();
    receiver.join();
  }

 private:
  /// Closes nothing.
  [[noreturn]] static void die() { ::_exit(7); }

  void ended(const char* call, Status status) {
    if (status == Status::superseded) return;
    if (options_.may_fail) die();
    board_.complain(options_.role, call + std::string(to_string(status)) + ": " + port_->failure_text());
  }

  void note(const SessionEvent& event) {
    if (event.state == SessionState::connected && !event.text.empty()) ++own_.anew;
    if (event.state == SessionState::gap || event.state == SessionState::restarted)
      board_.complain(options_.role, "told " + std::string(to_string(event.state)));
    if (event.state == SessionState::closed && event.reason != Status::superseded && !options_.may_fail)
      board_.complain(options_.role, "closed, " + std::string(to_string(event.reason)) + ": " + event.text);
  }

  void begin() {
    std::memcpy(&session_, port_->session()->id.data(), sizeof session_);
    const std::uint64_t next = port_->next_sequence();
    if (own_.session != session_) {
      own_.posting = own_.posted = own_.handled = 0;
      own_.was_replaced = false;
      own_.session = session_;
      if (next != 1) board_.complain(options_.role, "begins a session with message " + std::to_string(next));
    } else if (!own_.was_replaced && (next <= own_.posted || next > own_.posting + 1)) {
      board_.complain(options_.role, "goes on with message " + std::to_string(next) + " behind " +
                                         std::to_string(own_.posted));
    }
    handled_ = own_.handled;
    own_.ready = options_.number;
  }

  bool is_owner() const { return own_.ready == options_.number; }

  void send() {
    Status status = Status::ok;
    while (status == Status::ok) {
      const std::uint64_t number = port_->next_sequence();
      const Content content = Content::of(session_, options_.role, number);
      if (is_owner()) raise_to(own_.posting, number);
      status = port_->post_message(std::as_bytes(std::span(&content, 1)));
      if (status == Status::ok && is_owner()) raise_to(own_.posted, number);
      if (number % 256 == 0) std::this_thread::sleep_for(1ms);
    }
    ended("posting: ", status);
  }

  void receive() {
    Message message = port_->receive();
    for (; message; message = port_->receive()) {
      Content content;
      if (message.bytes().size() == sizeof content)
        std::memcpy(&content, message.bytes().data(), sizeof content);
      const std::uint64_t number = message.sequence();
      if (!message.intact()) continue;  // this process was replaced meanwhile
      if (content != Content::of(session_, other(options_.role), number))
        board_.complain(options_.role, "message " + std::to_string(number) + " is altered");
      if (number > handled_ + 1 && is_owner())
        board_.complain(options_.role, "message " + std::to_string(handled_ + 1) + " is lost");
      if (number <= handled_) continue;
      handled_ = number;
      if (!is_owner()) continue;
      raise_to(own_.handled, number);
      ++own_.all_handled;
    }
    ended("receiving: ", message.status());
  }

  WorkerOptions options_;
  TortureBoard& board_;
  SideBoard& own_;
  std::uint64_t session_ = 0;
  std::uint64_t handled_ = 0;
  std::optional<Port> port_;
};

class Supervisor {
 public:
  explicit Supervisor(const TortureOptions& options) : options_(options), random_(options.seed) {}

  TortureReport run() {
    start_both();
    expect_progress();
    const auto end = steady_clock::now() + options_.time;
    for (; report_.rounds < options_.rounds && steady_clock::now() < end; ++report_.rounds) {
      last_ = pick(7);
      switch (last_) {
        case 0:
          kill_one();
          break;
        case 1:
          kill_both();
          break;
        case 2:
          stop_one();
          break;
        case 3:
          try_to_get_a_stopped_end();
          break;
        case 4:
          take_over();
          break;
        case 5:
          damage_files();
          break;
        default:
          limit_one();
      }
      expect_progress();
    }
    for (const Role role : {Role::host, Role::join}) {
      report_.messages += board_->of(role).all_handled;
      report_.sessions_anew += board_->of(role).anew;
    }
    return report_;
  }

 private:
  using Process = std::unique_ptr<ChildProcess>;

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  Process& process(Role role) { return processes_.at(role == Role::host ? 0 : 1); }
  Role any_role() { return pick(2) == 0 ? Role::host : Role::join; }

  SessionOptions session_options(Role role) {
    SessionOptions session{.port = {.ring_bytes = kRingBytes}, .timeout = kPatience};
    if (options_.in_files) session.directory = files_.directory();
    if (role == Role::host) session.replace_living_peer = host_replaces_ = pick(2) == 0;
    return session;
  }

  /// `prepare` runs in the new process before it opens the session. One that may fail says nothing about it.
  template <typename Prepare>
  void start(Role role, Process& process, const SessionOptions& session, bool may_fail, Prepare prepare) {
    const WorkerOptions worker{role, ++numbers_, session, channel_.path(), may_fail};
    process = std::make_unique<ChildProcess>([this, worker, may_fail, prepare] {
      try {
        prepare();
        Worker(worker, *board_).run();
      } catch (const std::exception& failure) {
        if (!may_fail) board_->complain(worker.role, std::string("can't open: ") + failure.what());
        return 7;
      }
      return 0;
    });
  }
  void start(Role role) {
    const std::uint64_t number = numbers_ + 1;
    start(role, process(role), session_options(role), false, [] {});
    expected_.at(role == Role::host ? 0 : 1) = number;
  }
  void start_both() {
    start(Role::host);
    start(Role::join);
  }
  void kill(Role role) {
    process(role).reset();
    ++report_.kills;
  }

  void kill_one() {
    const Role role = any_role();
    kill(role);
    start(role);
    while (pick(3) == 0) {
      pause_up_to(4ms);
      kill(role);
      start(role);
    }
  }

  void kill_both() {
    kill(Role::host);
    kill(Role::join);
    pause_up_to(2ms);
    start_both();
  }

  void stop(Role role) {
    process(role)->signal(SIGSTOP);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(process(role)->pid()), &info, WSTOPPED | WNOWAIT);
    ++report_.stops;
  }

  void stop_one() {
    const Role role = any_role();
    stop(role);
    pause_up_to(20ms);
    process(role)->signal(SIGCONT);
  }

  /// With its host gone, too.
  void try_to_get_a_stopped_end() {
    stop(Role::join);
    kill(Role::host);
    SessionOptions session = session_options(Role::host);
    session.replace_living_peer = host_replaces_ = false;
    expected_[0] = numbers_ + 1;
    start(Role::host, process(Role::host), session, false, [] {});
    Process second;
    SessionOptions joining = session_options(Role::join);
    joining.timeout = 50ms;
    start(Role::join, second, joining, true, [] {});
    const auto status = second->wait_for(kPatience);
    if (!status || status->code != 7) fail("a second joiner got the end of a stopped one");
    ++report_.seconds_refused;
    process(Role::join)->signal(SIGCONT);
  }

  void take_over() {
    if (!host_replaces_) return;
    stop(Role::join);
    board_->of(Role::join).was_replaced = true;
    std::swap(replaced_, process(Role::join));
    start(Role::join);
    wait_until("the second joiner is in the session", [&] { return is_ready(); });
    ++report_.takeovers;
    replaced_->signal(SIGCONT);
    const auto status = replaced_->wait_for(kPatience);
    check_complaints();
    if (!status || !status->ok()) fail("a replaced process didn't end");
    replaced_.reset();
  }

  fs::path ring(const char* role) const {
    return fs::path(files_.directory()) / ("channel." + std::string(role) + ".ring");
  }

  void damage_files() {
    kill(Role::host);
    kill(Role::join);
    if (options_.in_files) {
      const char* const role = pick(2) == 0 ? "host" : "join";
      const auto zero = [&](off_t at, std::size_t bytes) {
        const Descriptor file(::open(ring(role).c_str(), O_WRONLY | O_CLOEXEC));
        const std::vector<std::byte> nothing(bytes);
        if (file && ::pwrite(file.get(), nothing.data(), bytes, at) < 0) fail("a file can't be damaged");
      };
      const std::uint64_t kind = pick(8);
      if (kind == 0) zero(4096, 4096);
      if (kind == 1) zero(8192, kRingBytes);
      if (kind == 2) zero(0, 4096);
      if (kind == 3) fs::remove(ring(role));
      if (kind == 4 && fs::exists(ring(role))) fs::resize_file(ring(role), 4096 * pick(6));
      if (kind == 5 && fs::exists(ring("host")) && fs::exists(ring("join"))) {
        fs::rename(ring("host"), ring("x"));
        fs::rename(ring("join"), ring("host"));
        fs::rename(ring("x"), ring("join"));
      }
      if (kind == 6) restore_older(role);
      if (kind == 7) fs::resize_file(ring(role), 0);
      ++report_.damages;
    }
    start_both();
  }

  /// A copy of one file, as it was before both sides came back last.
  void restore_older(const char* role) {
    const auto copy = [&](const fs::path& from, const fs::path& to) {
      std::error_code none;
      fs::copy_file(from, to, fs::copy_options::overwrite_existing, none);
    };
    copy(ring(role), ring("old"));
    start_both();
    wait_until("both sides are there again", [&] { return is_ready(); });
    expect_progress();
    kill(Role::host);
    kill(Role::join);
    copy(ring("old"), ring(role));
    fs::remove(ring("old"));
  }

  /// A process that comes back is short of something: it fails or comes back, and the next one goes on.
  void limit_one() {
    const Role role = any_role();
    kill(role);
    if (options_.in_files && pick(2) == 0) kill(other(role));
    Process poor;
    SessionOptions session = session_options(role);
    session.timeout = 50ms;
    const std::uint64_t kind = pick(3);
    const std::uint64_t amount = pick(30);
    start(role, poor, session, true, [kind, amount] {
      if (kind == 0) {
        rlimit few{};
        ::getrlimit(RLIMIT_NOFILE, &few);
        few.rlim_cur = 6 + amount;
        ::setrlimit(RLIMIT_NOFILE, &few);
      } else if (kind == 1) {
        static const TightAddressSpace tight(amount << 19U);
      } else {
        static const FailingCall failing("pthread_create", static_cast<int>(amount % 2), EAGAIN);
      }
    });
    ++report_.limits;
    if (const auto status = poor->wait_for(100ms); status && status->code == 7) ++report_.limits_failed;
    poor.reset();
    check_complaints();
    start(role);
    if (!process(other(role))) start(other(role));
  }

  bool is_ready() {
    SideBoard& host = board_->of(Role::host);
    SideBoard& join = board_->of(Role::join);
    return host.ready == expected_[0] && join.ready == expected_[1] && host.session == join.session;
  }

  void expect_progress() {
    wait_until("both sides are in one session", [&] { return is_ready(); });
    const std::uint64_t host = board_->of(Role::host).all_handled;
    const std::uint64_t join = board_->of(Role::join).all_handled;
    wait_until("messages go both ways", [&] {
      return board_->of(Role::host).all_handled > host && board_->of(Role::join).all_handled > join;
    });
  }

  void pause_up_to(std::chrono::microseconds longest) {
    std::this_thread::sleep_for(std::chrono::microseconds(pick(static_cast<std::uint64_t>(longest.count()))));
  }

  template <typename Condition>
  void wait_until(const char* what, Condition condition) {
    const auto deadline = steady_clock::now() + kPatience;
    while (!condition()) {
      check_complaints();
      if (steady_clock::now() > deadline) fail("waited in vain until " + std::string(what));
      std::this_thread::sleep_for(200us);
    }
    check_complaints();
  }

  void check_complaints() {
    if (board_->broken) fail(board_->complaint.data());
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(what + " (round " + std::to_string(report_.rounds) + ", which was of kind " +
                             std::to_string(last_) + ", seed " + std::to_string(options_.seed) + ")");
  }

  const TortureOptions options_;
  std::mt19937_64 random_;
  TestChannel channel_;
  TestChannel files_;
  SharedPage<TortureBoard> board_;
  std::array<Process, 2> processes_;
  Process replaced_;
  std::array<std::uint64_t, 2> expected_{};
  std::uint64_t numbers_ = 0;
  std::uint64_t last_ = 0;
  bool host_replaces_ = false;
  TortureReport report_;
};

}  // namespace

std::string TortureReport::text() const {
  const auto number = [](std::uint64_t count, const char* what) { return std::to_string(count) + what; };
  return number(rounds, " rounds: ") + number(kills, " kills, ") + number(stops, " stops, ") +
         number(seconds_refused, " second joiners refused, ") + number(takeovers, " takeovers, ") +
         number(damages, " times damaged files, ") +
         number(sessions_anew, " sides told of a session begun anew, ") +
         number(limits, " processes with limits, ") + number(limits_failed, " of which failed; ") +
         number(messages, " messages received");
}

TortureReport torture(const TortureOptions& options) {
  return Supervisor(options).run();
}

}  // namespace sluice::test

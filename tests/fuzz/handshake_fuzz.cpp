#include "handshake_fuzz.hpp"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "choices.hpp"
#include "handshake_messages.hpp"
#include "open_descriptors.hpp"
#include "opening.hpp"
#include "port_regions.hpp"
#include "sluice/base/error.hpp"

namespace sluice::test {
namespace {

using ipc::ConnectionKind;
using ipc::encode_packet;
using ipc::Handshake;
using ipc::HandshakeType;
using ring::OwnedRegion;
using ring::PeerRegion;

/// Never reached: nothing waits but for what has come already.
constexpr std::chrono::seconds kHandshakeTime{20};
constexpr std::uint64_t kRingBytes = 4096;
constexpr ring::SessionId kSession{1, 2, 3};

/// A region of this connection, new, or with three records, of which the peer's first has been released.
OwnedRegion make_region(const SessionInfo& session, bool has_records, std::uint64_t capacity = kRingBytes) {
  ring::RegionOptions options;
  options.capacity = capacity;
  options.replay_window = capacity / 4;
  options.session = session.id;
  options.epoch = session.epoch;
  OwnedRegion region = OwnedRegion::create(options);
  if (!has_records) return region;
  constexpr std::uint64_t kPayloadBytes = 8;
  constexpr std::uint64_t kRecords = 3;
  constexpr std::uint64_t kRecordBytes = ring::record_bytes(kPayloadBytes);
  const ring::OwnView& view = region.view();
  for (std::uint64_t number = 0; number < kRecords; ++number) {
    const std::uint64_t header = ring::make_header(kPayloadBytes, number + 1);
    std::memcpy(view.data + number * kRecordBytes, &header, sizeof header);
  }
  // Relaxed: nobody else looks yet.
  view.control->tail.tail_sequence.store(kRecords + 1, std::memory_order_relaxed);
  view.control->tail.tail.store(kRecords * kRecordBytes, std::memory_order_relaxed);
  view.control->release.released.store(kRecordBytes, std::memory_order_relaxed);
  return region;
}

PeerRegion seen_by_peer(const OwnedRegion& region) {
  const ring::RegionHeader& header = region.view().header;
  return PeerRegion::open(Descriptor(::fcntl(region.descriptor(), F_DUPFD_CLOEXEC, 0)), header.session,
                          header.epoch);
}

/// Memory without the bytes of a region, with these seals.
Descriptor memory(int seals) {
  Descriptor made(::memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  require(made && ::ftruncate(made.get(), 8192 + kRingBytes) == 0);
  require(seals == 0 || ::fcntl(made.get(), F_ADD_SEALS, seals) == 0);
  return made;
}

/// Of a process that has ended: a living one would be waited for if its end of the socket is gone.
Descriptor pidfd_of_the_dead() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  Descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  require(pidfd && ::waitpid(child, nullptr, 0) == child);
  return pidfd;
}

/// What outlives an input: descriptors that are no regions, and the state of a session.
struct Props {
  Props() {
    std::array<int, 2> ends{};
    require(::pipe2(ends.data(), O_CLOEXEC) == 0);
    others.emplace_back(ends[0]);
    others.emplace_back(ends[1]);
    others.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
    others.emplace_back(::open("/dev/null", O_PATH | O_CLOEXEC));
    others.emplace_back(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    others.push_back(memory(0));
    others.push_back(memory(F_SEAL_SHRINK | F_SEAL_GROW));
    others.push_back(memory(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL));
    for (const Descriptor& made : others) require(made.get() >= 0);
  }

  std::vector<Descriptor> others;
  Descriptor pidfd = pidfd_of_the_dead();
  OwnedRegion own = make_region({kSession, 1}, true);
  OwnedRegion peers = make_region({kSession, 1}, true);
  ipc::StoredSession stored{seen_by_peer(own), seen_by_peer(peers)};
};

const Props& props() {
  static const Props instance;
  return instance;
}

/// The side of a session that is under way.
class Keeper final : public Handshake {
 public:
  Keeper(base::PeerSocket socket, bool occupied)
      : Handshake(std::move(socket), ConnectionKind::session, SessionInfo{kSession, 1},
                  ring::Backing::sealed_memory, kHandshakeTime),
        occupied_(occupied) {}

 private:
  std::string owner_of_its_end(bool is_owned) const override {
    return occupied_ || is_owned ? "process 1" : "";
  }
  ipc::Keeping keep() override { return {{kSession, 2}, &props().own, &props().stored.peer}; }
  void adopt(std::shared_ptr<const PeerRegion> peer, Descriptor /*peer_pidfd*/) override {
    require(peer->view().header.session == kSession && peer->view().header.epoch == 2);
  }
  const OwnedRegion& join(const SessionInfo& /*session*/, Descriptor& /*region*/,
                          Descriptor* /*old*/) override {
    std::abort();
  }
  void joined(Descriptor /*keeper_pidfd*/, bool /*keeper_lives*/) override { std::abort(); }

  bool occupied_;
};

/// Says what the input says.
class HostilePeer {
 public:
  HostilePeer(Choices& choices, Descriptor socket, ConnectionKind kind)
      : choices_(choices), kind_(kind), socket_(std::move(socket)) {}

  /// One packet, or the end of the connection. `step`: what the other side waits for.
  void speak(Handshake::Step step) {
    hear();
    constexpr unsigned kWhatIsRight = 0;
    constexpr unsigned kNoPacket = 8;
    constexpr unsigned kHalfClosed = 9;
    constexpr unsigned kGone = 10;
    const std::uint8_t choice = choices_.byte();
    const unsigned what = choice < 128 ? kWhatIsRight : choice % 11U;
    switch (what) {
      case kGone:
        return socket_.reset();
      case kHalfClosed:
        ::shutdown(socket_.get(), SHUT_WR);
        return;
      case kNoPacket: {
        const auto bytes = choices_.bytes(std::size_t{choices_.byte()} * 20);
        return send({bytes.begin(), bytes.end()}, {});
      }
      default:
        make_packet(what == kWhatIsRight ? type_for(step) : static_cast<HandshakeType>(what));
    }
  }

 private:
  static HandshakeType type_for(Handshake::Step step) {
    switch (step) {
      case Handshake::Step::request:
        return HandshakeType::request;
      case Handshake::Step::offer:
        return HandshakeType::offer;
      case Handshake::Step::answer:
        return HandshakeType::answer;
      case Handshake::Step::welcome:
        return HandshakeType::welcome;
      default:
        return HandshakeType::hello;
    }
  }

  static ConnectionKind other(ConnectionKind kind) {
    return kind == ConnectionKind::plain ? ConnectionKind::session : ConnectionKind::plain;
  }

  /// Takes what the other side has said.
  void hear() {
    try {
      while (auto packet = ipc::try_receive_packet(socket_.get())) {
        // Not to be closed aside: they are no stranger's.
        const std::vector<Descriptor> closed_here = std::move(packet->descriptors);
        if (packet->bytes.size() != sizeof(ipc::Offer)) continue;
        const auto offer = ipc::decode_packet<ipc::Offer>(packet->bytes);
        session_ = {offer.session, offer.epoch};
        goes_on_ = offer.has_old_region != 0;
      }
    } catch (const error&) {  // it has gone
    }
  }

  void make_packet(HandshakeType type) {
    const std::uint8_t flags = choices_.byte();
    const std::uint32_t has_pidfd = flags & 1U;
    const std::uint32_t has_more = (flags >> 1U) & 1U;
    switch (type) {
      case HandshakeType::hello:
        return change_and_send(ipc::Hello{.kind = (flags & 4U) != 0 ? other(kind_) : kind_,
                                          .standing = static_cast<ipc::Standing>(has_more),
                                          .session = session_.id,
                                          .epoch = has_more},
                               {});
      case HandshakeType::request:
        return change_and_send(ipc::Request{}, {});
      case HandshakeType::offer:
        goes_on_ = has_more != 0;
        return change_and_send(ipc::Offer{.session = session_.id,
                                          .epoch = session_.epoch,
                                          .has_pidfd = has_pidfd,
                                          .has_old_region = has_more},
                               regions(has_pidfd != 0, goes_on_));
      case HandshakeType::answer:
        return change_and_send(ipc::Answer{.has_pidfd = has_pidfd}, regions(has_pidfd != 0, false));
      case HandshakeType::welcome:
        return change_and_send(ipc::Welcome{}, {});
      case HandshakeType::superseded:
        return change_and_send(ipc::Superseded{}, {});
      case HandshakeType::refusal: {
        const auto text = choices_.bytes(std::size_t{choices_.byte()} * 2);
        const std::string words(reinterpret_cast<const char*>(text.data()), text.size());
        if (flags == 1) return send(ipc::encode_refusal(ipc::EndIsTaken(words)), {});
        const auto code = flags == 0 ? connect_errc::refused : connect_errc::bad_version;
        return send(ipc::encode_refusal(error(code, words)), {});
      }
    }
  }

  std::vector<int> regions(bool has_pidfd, bool has_old_region) {
    std::vector<int> descriptors{region()};
    if (has_pidfd) descriptors.push_back(props().pidfd.get());
    if (has_old_region) descriptors.push_back(region());
    return descriptors;
  }

  /// A right one, up to a few words.
  int region() {
    const std::uint8_t choice = choices_.byte();
    const std::uint64_t capacity = (choice & 0x40U) != 0 ? 2 * kRingBytes : kRingBytes;
    regions_.push_back(make_region(session_, goes_on_ != ((choice & 0x20U) != 0), capacity));
    const ring::OwnView& view = regions_.back().view();
    for (unsigned left = choice < 128 ? 0 : choice % 4U; left != 0; --left) change_word(view);
    return regions_.back().descriptor();
  }

  /// A field of the header, a word of the control page, or one of the ring's first records.
  void change_word(const ring::OwnView& view) {
    constexpr std::array<std::ptrdiff_t, 5> kControlWords{0, 8, 128, 136, 384};
    auto* const control = reinterpret_cast<std::byte*>(view.control);
    const std::uint8_t where = choices_.byte();
    const std::size_t number = where / 3U;
    std::byte* place = view.data + number % 32 * sizeof(std::uint64_t);
    if (where % 3U == 0) place = control + kControlWords.at(number % kControlWords.size());
    if (where % 3U == 1) {
      constexpr std::size_t kHeaderWords = sizeof(ring::RegionHeader) / sizeof(std::uint64_t);
      place = control - ring::kControlOffset + number % kHeaderWords * sizeof(std::uint64_t);
    }
    std::uint64_t word = 0;
    std::memcpy(&word, place, sizeof word);
    const std::uint8_t how = choices_.byte();
    if (how < 64) {
      word += how - 32U;
    } else if (how < 128) {
      word ^= std::uint64_t{1} << (how % 64U);
    } else if (how < 192) {
      word += (how - 160U) * std::uint64_t{8};
    } else {
      word = std::uint64_t{choices_.word()} << 32U | choices_.word();
    }
    std::memcpy(place, &word, sizeof word);
  }

  template <typename Kind>
  void change_and_send(const Kind& packet, std::vector<int> descriptors) {
    const auto encoded = encode_packet(packet);
    std::vector<std::byte> bytes(encoded.begin(), encoded.end());
    const std::uint8_t change = choices_.byte();
    for (unsigned left = change < 128 ? 0 : change % 4U; left != 0; --left)
      bytes.at(choices_.byte() % bytes.size()) = static_cast<std::byte>(choices_.byte());
    if (change >= 224) bytes.resize(choices_.byte());
    const std::uint8_t exchange = choices_.byte();
    if (exchange >= 128) descriptors = other_descriptors(descriptors, exchange);
    send(bytes, descriptors);
  }

  std::vector<int> other_descriptors(std::vector<int> descriptors, std::uint8_t kind) {
    constexpr std::size_t kMostInAPacket = 253;
    if (kind == 255) {
      descriptors.assign(kMostInAPacket, props().others.front().get());
    } else if (kind < 192) {
      descriptors.resize(descriptors.size() + kind % 12U, some_descriptor());
    } else if (!descriptors.empty()) {
      descriptors.at(kind % descriptors.size()) = some_descriptor();
    }
    return descriptors;
  }

  int some_descriptor() {
    const auto& others = props().others;
    const std::size_t kind = choices_.byte() % (others.size() + 3);
    if (kind < others.size()) return others.at(kind).get();
    if (kind == others.size()) return props().pidfd.get();
    if (kind == others.size() + 1) return socket_.get();
    return region();
  }

  void send(std::vector<std::byte> bytes, const std::vector<int>& descriptors) {
    iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const std::size_t size = descriptors.size() * sizeof(int);
    std::vector<std::byte> control(descriptors.empty() ? 0 : CMSG_SPACE(size));
    if (!control.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(size);
      std::memcpy(CMSG_DATA(header), descriptors.data(), size);
    }
    ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);  // the other side may have gone
  }

  Choices& choices_;
  ConnectionKind kind_;
  Descriptor socket_;
  std::vector<OwnedRegion> regions_;
  SessionInfo session_{kSession, 1};  // the other side's, once it has made an offer
  bool goes_on_ = false;              // from an old region
};

/// Lets the peer speak and the side under test answer, in turn.
bool shake_hands(Handshake& side, HostilePeer& peer, Choices& choices) {
  constexpr int kMostPackets = 12;
  for (int i = 0; i < kMostPackets && !choices.empty(); ++i) {
    try {
      peer.speak(side.step());
      if (side.advance()) return true;
    } catch (const error&) {
      return false;
    }
  }
  return false;
}

bool play(std::span<const std::byte> input) {
  Choices choices(input);
  const std::uint8_t choice = choices.byte();
  const auto role = static_cast<HandshakeRole>(choice % 8U);
  const bool occupied = (choice & 8U) != 0;
  const bool plain = role == HandshakeRole::listener || role == HandshakeRole::connector;

  std::array<int, 2> ends{};
  require(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) == 0);
  base::PeerSocket socket{Descriptor(ends[0])};
  ipc::Plan plan{.kind = plain ? ConnectionKind::plain : ConnectionKind::session};
  HostilePeer peer(choices, Descriptor(ends[1]), plan.kind);

  if (role == HandshakeRole::keeper || role == HandshakeRole::seeking_keeper) {
    Keeper keeper(std::move(socket), occupied);
    if (role == HandshakeRole::seeking_keeper) keeper.say_hello();
    return shake_hands(keeper, peer, choices);
  }
  plan.options.port.ring_bytes = kRingBytes;
  const bool has_checkpoint = role == HandshakeRole::stored_joiner || (choice & 16U) != 0;
  if (has_checkpoint) {
    plan.options.checkpoint = StreamCheckpoint{.session = (choice & 32U) != 0 ? ring::SessionId{} : kSession,
                                               .sequence = choice / 64U};
  }
  std::optional<ipc::Opened> opened;
  ipc::Opening opening(std::move(socket), plan,
                       role == HandshakeRole::stored_host ? &props().stored : nullptr, kHandshakeTime,
                       opened);
  if (role == HandshakeRole::connector || role == HandshakeRole::joiner ||
      role == HandshakeRole::stored_joiner)
    opening.say_hello();
  const bool stands = shake_hands(opening, peer, choices);
  require(stands == opened.has_value());
  if (!stands) return false;
  const ring::RegionHeader& own = opened->connection.own.view().header;
  require(own.session == opened->info.id && own.epoch == opened->info.epoch && own.capacity == kRingBytes);
  require(opened->connection.peer->view().header.session == opened->info.id);
  return true;
}

}  // namespace

bool fuzz_handshake(std::span<const std::byte> input) {
  (void)props();
  const std::size_t before = open_descriptors();
  const bool stands = play(input);
  // Descriptors of strangers are closed aside.
  require(open_descriptors_become(before));
  return stands;
}

}  // namespace sluice::test

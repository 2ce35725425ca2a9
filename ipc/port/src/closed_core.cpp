// The core of every port that isn't connected.
#include "sluice/ipc/port/detail/closed_core.hpp"

#include <array>
#include <cstddef>

#include "sluice/ipc/port/detail/port_core.hpp"

namespace sluice::ipc {
namespace {

/// An empty ring in ordinary memory. A reader looks at its first header word; nothing is ever written there.
struct EmptyRing {
  ring::ControlPage control{};
  alignas(ring::kLineBytes) std::array<std::byte, ring::kMinCapacity> data{};

  ring::OwnView view() noexcept {
    ring::RegionHeader header;
    header.capacity = data.size();
    return {header, &control, data.data()};
  }
};

EmptyRing empty_ring;

/// Closed from the beginning: no call comes as far as writing to it, so that all threads may share it.
class ClosedCore final : public PortCore {
 public:
  ClosedCore() noexcept : ClosedCore(empty_ring.view()) {}

  ring::PeerView view() noexcept { return empty_ring.view(); }

 private:
  explicit ClosedCore(const ring::OwnView& view) noexcept
      : PortCore(view, view, WaitOptions{}, ring::ConsumerStart::of(view.header)) {
    producer_.gate().raise(Status::closed);
    consumer_.gate().raise(Status::closed);
    closed_here_.store(true, std::memory_order_relaxed);  // nobody else sees it yet
    never_connected_ = true;
  }

  void note_broken(const ring::RingFailure& /*failure*/) noexcept override {}
  void note_too_large(std::uint64_t /*bytes*/) noexcept override {}
};

/// Never destroyed: ports with static storage may outlive it otherwise.
ClosedCore& the_core() noexcept {
  union Storage {
    Storage() noexcept : core() {}
    ~Storage() {}  // NOLINT(modernize-use-equals-default): leaves the core alone
    ClosedCore core;
  };
  static Storage storage;
  return storage.core;
}

}  // namespace

PortCore& closed_core() noexcept {
  return the_core();
}

ring::HistoryReader closed_history() noexcept {
  return ring::HistoryReader(the_core().view());
}

}  // namespace sluice::ipc

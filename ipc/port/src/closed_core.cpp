// The cores that every port shares which isn't connected, or doesn't receive by calls.
#include <array>
#include <cstddef>

#include "sluice/ipc/port/detail/port_core.hpp"
#include "sluice/ring/history.hpp"

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

/// Has ended from the beginning: no call comes as far as writing to it, so that all threads may share it.
class ClosedCore final : public PortCore {
 public:
  explicit ClosedCore(Status reason) noexcept : ClosedCore(empty_ring.view(), reason) {}

 private:
  ClosedCore(const ring::OwnView& view, Status reason) noexcept
      : PortCore(view, view, WaitOptions{}, ring::ConsumerStart::of(view.header)) {
    producer_.gate().raise(reason);
    consumer_.gate().raise(reason);
    never_connected_ = true;
  }

  Status note_broken(const ring::RingFailure& /*failure*/) noexcept override { return Status::broken; }
  void note_refused(Status /*status*/, std::uint64_t /*bytes*/) noexcept override {}
};

/// Never destroyed: ports with static storage may outlive it otherwise.
union Undying {
  explicit Undying(Status reason) noexcept : core(reason) {}
  ~Undying() {}  // NOLINT(modernize-use-equals-default): leaves the core alone
  ClosedCore core;
};

}  // namespace

PortCore& closed_core() noexcept {
  static Undying closed(Status::closed);
  return closed.core;
}

PortCore& delivering_core() noexcept {
  static Undying delivering(Status::misuse);
  return delivering.core;
}

ring::HistoryReader closed_history() noexcept {
  return ring::HistoryReader(empty_ring.view());
}

}  // namespace sluice::ipc

// One observed stream, as the observing side keeps it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "sluice/base/detail/move_only_function.hpp"
#include "sluice/base/status.hpp"
#include "sluice/codec/delta_stream.hpp"
#include "sluice/codec/frame.hpp"

#pragma GCC visibility push(default)

namespace sluice::codec {

/// What the other side said about a stream that was started or resumed. `first` and `last` are meaningful for resumed
/// and gap. Thread-safety: a value type.
struct Verdict {
  StreamVerdict kind = StreamVerdict::started;
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  friend bool operator==(const Verdict&, const Verdict&) = default;
};

/// Lets a client go on with a stream from the journal of its state. The server makes it of the stream and its client,
/// and knows it again after a restart; all zero without a journal. Thread-safety: a value type.
struct StreamTicket {
  std::uint64_t start = 0;  ///< the stream's items are behind this place of the journal
  Id seal{};

  friend bool operator==(const StreamTicket&, const StreamTicket&) = default;
};

namespace detail {

/// An item as it came: its data may be a delta.
struct ArrivedItem {
  Id stream{};  ///< changes if the stream was restarted
  std::uint64_t sequence = 0;
  std::int64_t time_ns = 0;
  std::uint64_t place = 0;  ///< in the journal of the state, 0 without one
  StreamForm form = StreamForm::full;
  std::uint64_t base = 0;
  std::vector<std::byte> data{};
};

/// What a stream begins with. `stream` and what follows are those of a checkpoint if the stream is to be resumed.
struct ObservationStart {
  std::string actor;
  std::string state;
  std::vector<std::byte> options;  ///< of the stream_start frame, packed
  bool delta = false;              ///< deltas may come
  std::uint64_t window = 1;        ///< items that may be on their way
  std::optional<Id> stream{};
  std::uint64_t last = 0;
  std::uint64_t place = 0;
  StreamTicket ticket{};
};

/// Why a stream has ended.
struct Ending {
  Status status = Status::closed;  ///< of the port, if that ended it
  StreamEnd reason = StreamEnd::completed;
  std::error_code code{};
  std::string text{};
  std::optional<RemoteCode> remote{};
};

/// Guarded by the peer's lock but for what is constant.
struct Observation {
  // Constant.
  std::string actor;
  std::string state;
  std::vector<std::byte> options;
  bool delta = false;
  std::uint64_t window = 1;

  Id stream{};
  Id next_stream{};            // used from a verdict `restarted` on
  std::uint64_t received = 0;  // last sequence that came
  std::uint64_t place = 0;     // of that item
  StreamTicket ticket{};
  std::uint64_t granted = 0;  // last sequence that the other side may send
  Id handed_stream{};         // of the last item that next() gave
  std::uint64_t handed = 0;
  std::uint64_t handed_place = 0;
  std::deque<ArrivedItem> arrived{};
  std::optional<Verdict> verdict{};
  unsigned awaited_verdicts = 1;
  bool ask_again = false;  // for the stream, once nothing that has arrived is left

  bool ended = false;
  Ending ending{};

  /// Called by the thread that runs the peer, without the lock, after something has arrived or ended.
  base::MoveOnlyFunction<void()> on_arrival{};
};

}  // namespace detail
}  // namespace sluice::codec

#pragma GCC visibility pop

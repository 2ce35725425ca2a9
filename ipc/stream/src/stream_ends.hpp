// A port stream's parts, put together: the reader, and the two directions that use it.
#pragma once

#include <utility>

#include "stream_receiver.hpp"
#include "stream_sender.hpp"

namespace sluice::ipc {

/// Threads: sender by one, receiver by one, close() by any.
class StreamEnds {
 public:
  /// `first_id` other than 0: of the first stream in each direction, for tests. Throws errc::bad_option.
  StreamEnds(AnyPort port, const PortStreamOptions& options, BlockId first_id = 0)
      : reader(std::move(port), options, first_id), sender(reader, first_id), receiver(reader) {}
  StreamEnds(const StreamEnds&) = delete;
  StreamEnds& operator=(const StreamEnds&) = delete;
  ~StreamEnds() { close(); }

  void close() {
    if (reader.forked()) return;
    if (!reader.close()) return;  // what goes on ends by itself
    receiver.refuse_leftovers();
    reader.give_handlers_back();
  }

  StreamReader reader;
  StreamSender sender;
  StreamReceiver receiver;
};

}  // namespace sluice::ipc

// Newline-delimited JSON as the messages of a transfer: --json of send and recv.
#pragma once

#include <cstddef>
#include <string>

#include "input.hpp"
#include "output.hpp"
#include "sluice/ipc/stream/port_stream.hpp"

namespace sluice::tools {

/// What becomes of a line that can't be sent: it is no JSON, or it or its message is too long.
enum class BadLines { fail, skip };

#ifdef SLUICE_HAS_CODEC
inline constexpr bool kHasJson = true;

/// The messages of an input's lines, to be sent by `stream`: each as soon as its line has come. Lines of blanks are
/// passed over. `max_bytes`: of a line, and of a message. A bad line is told on standard error and skipped, or a
/// std::runtime_error.
BlockSource json_messages(const Input& input, std::size_t max_bytes, BadLines bad_lines, PortStream& stream);

/// Writes each message as a line. `for_terminal`: see line_of(). Throws sluice::error for a message that isn't one
/// msgpack value within kJsonLimits, and what the output throws.
BlockConsumer json_writer(Output& output, bool for_terminal);
#else
inline constexpr bool kHasJson = false;  // and nobody calls these
inline BlockSource json_messages(const Input&, std::size_t, BadLines, PortStream&) {
  return {};
}
inline BlockConsumer json_writer(Output&, bool) {
  return {};
}
#endif

}  // namespace sluice::tools

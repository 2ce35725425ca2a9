#include "fault_text.hpp"

#include "sluice/codec/error.hpp"

namespace sluice::codec::detail {

std::string message_of(std::size_t bytes) {
  return "message of " + std::to_string(bytes) + " bytes";
}

/// The text of a message that no tree can be made of.
std::string fault_text(std::error_code fault, std::size_t bytes, std::size_t at,
                       const DecodeOptions& options) {
  std::string text = message_of(bytes);
  if (fault == errc::too_large) return text + ": expected at most " + std::to_string(options.max_bytes);
  text += ", at byte " + std::to_string(at) + ": expected ";
  if (fault == errc::too_many_elements)
    return text + "at most " + std::to_string(options.max_elements) + " values";
  if (fault == errc::too_deep) return text + "at most " + std::to_string(options.max_depth) + " levels";
  if (fault == errc::trailing_bytes) return text + "its end";
  if (fault == errc::bad_timestamp) return text + "a timestamp in range";
  return text + "a whole value";
}

}  // namespace sluice::codec::detail

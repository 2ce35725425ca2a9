// The names of actors and of what they have.
#pragma once

#include <string>
#include <string_view>

#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/frame.hpp"

namespace sluice::codec {

inline bool is_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kMaxNameBytes;
}

/// Throws errc::bad_name; `what` is "actor", "method" or "state".
inline void check_name(std::string_view what, std::string_view name) {
  if (is_name(name)) return;
  throw error(sluice::errc::bad_name, std::string(what) + " " + base::quoted_text(name) + ": expected 1 to " +
                                          std::to_string(kMaxNameBytes) + " bytes");
}

}  // namespace sluice::codec

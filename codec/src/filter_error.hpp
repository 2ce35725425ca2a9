// How a filter is refused.
#pragma once

#include <locale>
#include <sstream>
#include <string>

#include "sluice/base/error.hpp"
#include "sluice/codec/error.hpp"

namespace sluice::codec {

[[noreturn]] inline void refuse_filter(const std::string& detail) {
  throw error(errc::bad_filter, detail);
}

/// A number, as an error shows it.
inline std::string text_of(double number) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << number;
  return text.str();
}

}  // namespace sluice::codec

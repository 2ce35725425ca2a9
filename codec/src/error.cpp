#include "sluice/codec/error.hpp"

#include <string_view>

#include "sluice/base/detail/error_category.hpp"

namespace sluice::codec {
namespace {

std::string_view text_of(int code) {
  switch (static_cast<errc>(code)) {
    case errc::cut_off:
      return "cut off inside a value";
    case errc::trailing_bytes:
      return "bytes behind the value";
    case errc::undefined_byte:
      return "undefined byte";
    case errc::bad_timestamp:
      return "timestamp not supported";
    case errc::too_large:
      return "too large";
    case errc::too_many_elements:
      return "too many elements";
    case errc::too_deep:
      return "nested too deep";
    case errc::wrong_type:
      return "not the type asked for";
    case errc::bad_filter:
      return "not a valid filter";
    case errc::bad_frame:
      return "frame breaks a rule";
    case errc::other_version:
      return "other version";
    case errc::peer_ended:
      return "peer ended";
    case errc::remote:
      return "error at the other side";
    case errc::cancelled:
      return "cancelled";
    case errc::bad_delta:
      return "delta doesn't fit";
    case errc::version_conflict:
      return "changed by somebody else";
  }
  return {};
}

constinit const base::ErrorCategory kCategory("sluice.codec", text_of);

}  // namespace

const std::error_category& category() noexcept {
  return kCategory.get();
}

}  // namespace sluice::codec

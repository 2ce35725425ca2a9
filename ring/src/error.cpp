#include "sluice/ring/error.hpp"

#include <string_view>

#include "sluice/base/detail/error_category.hpp"

namespace sluice::ring {
namespace {

std::string_view text_of(int code) {
  switch (static_cast<errc>(code)) {
    case errc::bad_region:
      return "region refused";
    case errc::bad_version:
      return "layout not supported";
  }
  return {};
}

constinit const base::ErrorCategory kCategory("sluice.ring", text_of);

}  // namespace

const std::error_category& category() noexcept {
  return kCategory.get();
}

}  // namespace sluice::ring

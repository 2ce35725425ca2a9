#include "sluice/ipc/checkpoint/checkpoint_error.hpp"

#include <string_view>

#include "sluice/base/detail/error_category.hpp"

namespace sluice {
namespace {

std::string_view text_of(int code) {
  switch (static_cast<checkpoint_errc>(code)) {
    case checkpoint_errc::bad_checkpoint:
      return "checkpoint refused";
    case checkpoint_errc::bad_version:
      return "version not supported";
  }
  return {};
}

constinit const base::ErrorCategory kCategory("sluice.checkpoint", text_of);

}  // namespace

const std::error_category& checkpoint_category() noexcept {
  return kCategory.get();
}

}  // namespace sluice

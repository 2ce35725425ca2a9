#include "delivery.hpp"

namespace sluice::ipc {

std::string text_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& known) {
    return words_of(known);
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

}  // namespace sluice::ipc

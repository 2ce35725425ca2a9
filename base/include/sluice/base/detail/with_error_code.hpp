// The calls that tell an error by its code, made of those that throw it.
#pragma once

#include <new>
#include <system_error>

#pragma GCC visibility push(default)

namespace sluice::base {

/// What `call` returns; or `otherwise`, and in `why` what it threw.
template <typename Call, typename Result>
Result with_error_code(std::error_code& why, Result otherwise, Call call) {
  why.clear();
  try {
    return call();
  } catch (const std::system_error& failure) {
    why = failure.code();
  } catch (const std::bad_alloc&) {
    why = std::make_error_code(std::errc::not_enough_memory);
  }
  return otherwise;
}

}  // namespace sluice::base

#pragma GCC visibility pop

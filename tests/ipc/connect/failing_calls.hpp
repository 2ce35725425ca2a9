// System calls that fail on demand: the linker takes these functions before the C library's.
#pragma once

#include <string>
#include <vector>

namespace sluice::test {

/// Which call fails, once, with which errno. Counts the calls of this process's threads, the watcher's and
/// the delivery's included.
class FailingCall {
 public:
  /// The `nth` call (from 0) of `name` fails with `code`.
  FailingCall(const std::string& name, int nth, int code);
  FailingCall(const FailingCall&) = delete;
  FailingCall& operator=(const FailingCall&) = delete;
  ~FailingCall();

  /// Whether that call was made.
  bool happened() const;
};

/// The names of every call that can fail here.
std::vector<std::string> failing_call_names();

}  // namespace sluice::test

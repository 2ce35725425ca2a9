// A signal between threads that can be waited for together with descriptors.
#pragma once

#include <string>

#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice::base {

/// An eventfd (close-on-exec, non-blocking): once set, its descriptor is readable until it is cleared.
/// Thread-safety: all but construction, moving and destruction.
class Event {
 public:
  /// Throws the system's error, which names `purpose` ("stopping a listener").
  explicit Event(const std::string& purpose);

  /// To be polled for POLLIN.
  int fd() const noexcept { return descriptor_.get(); }

  void set() const noexcept;
  void clear() const noexcept;
  bool is_set() const noexcept;

 private:
  Descriptor descriptor_;
};

}  // namespace sluice::base

#pragma GCC visibility pop

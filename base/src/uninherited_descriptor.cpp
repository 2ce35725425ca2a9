#include "sluice/base/detail/uninherited_descriptor.hpp"

#include <pthread.h>
#include <sys/file.h>

#include <mutex>
#include <type_traits>
#include <utility>

namespace sluice::base {

/// Every object that owns something. The mutex is held over each fork(), so that the child finds the list
/// whole.
struct UninheritedDescriptor::Registry {
  std::mutex mutex;
  UninheritedDescriptor* first = nullptr;

  static Registry& instance() noexcept {
    static Registry registry;
    static_assert(std::is_trivially_destructible_v<Registry>,
                  "files may be closed at the program's very end");
    [[maybe_unused]] static const int told = ::pthread_atfork(
        [] { instance().mutex.lock(); }, [] { instance().mutex.unlock(); }, [] { instance().close_all(); });
    return registry;
  }

  void add(UninheritedDescriptor& object) noexcept {
    object.previous_ = nullptr;
    object.next_ = std::exchange(first, &object);
    if (object.next_ != nullptr) object.next_->previous_ = &object;
  }

  void remove(UninheritedDescriptor& object) noexcept {
    (object.previous_ != nullptr ? object.previous_->next_ : first) = object.next_;
    if (object.next_ != nullptr) object.next_->previous_ = object.previous_;
  }

  /// In the child.
  void close_all() noexcept {
    while (first != nullptr) {
      UninheritedDescriptor& object = *first;
      remove(object);
      object.fd_.reset();
    }
    mutex.unlock();
  }
};

void UninheritedDescriptor::open(const std::function<int()>& open) {
  reset();
  Registry& registry = Registry::instance();
  const std::lock_guard lock(registry.mutex);
  fd_.reset(open());
  owner_ = OwnerProcess();
  if (fd_) registry.add(*this);
}

void UninheritedDescriptor::reset() noexcept {
  if (!fd_) return;
  Registry& registry = Registry::instance();
  const std::lock_guard lock(registry.mutex);
  registry.remove(*this);
  // A child that was forked just now may not have closed its copy yet.
  if (!owner_.inherited()) ::flock(fd_.get(), LOCK_UN);
  fd_.reset();
}

}  // namespace sluice::base

#include "remove_on_signal.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <stdexcept>

namespace sluice::tools {
namespace {

constexpr std::size_t kSlots = 4;

// Publishes a path to the handler: release where it is set, acquire in the handler. Null: nothing to remove.
std::array<std::atomic<const char*>, kSlots> paths{};
static_assert(std::atomic<const char*>::is_always_lock_free, "the handler reads it");

// Only async-signal-safe calls.
extern "C" void remove_files_and_end(int signal) {
  for (const auto& slot : paths) {
    if (const char* path = slot.load(std::memory_order_acquire)) ::unlink(path);
  }
  // The handler was reset when it was called (SA_RESETHAND); the signal is delivered again on return.
  ::raise(signal);
}

void install_handlers() {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action.sa_handler = remove_files_and_end;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace

RemoveOnSignal::RemoveOnSignal(const std::filesystem::path& path)
    : path_(std::filesystem::absolute(path).string()) {
  // Relaxed: only this thread writes the slots.
  while (slot_ < kSlots && paths.at(slot_).load(std::memory_order_relaxed) != nullptr) ++slot_;
  if (slot_ == kSlots) throw std::logic_error("more files to remove on a signal than there is room for");
  paths.at(slot_).store(path_.c_str(), std::memory_order_release);
  install_handlers();
}

RemoveOnSignal::~RemoveOnSignal() {
  paths.at(slot_).store(nullptr, std::memory_order_release);
}

}  // namespace sluice::tools

#include "output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "options.hpp"
#include "sluice/base/deadline.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/error.hpp"

namespace sluice::tools {

Output::Output(const std::string& path, Existing existing, std::chrono::nanoseconds patience)
    : name_(path == "-" ? "standard output" : path) {
  if (path == "-") return;
  if (existing == Existing::resume) {
    part_.emplace(path);
    return;
  }
  std::filesystem::path target = path;
  base::AtomicFileOptions options{.replace = existing != Existing::refuse};
  if (existing == Existing::redirect) {
    const OutputPlace place(path);
    if (!place.replaceable) {
      open_device(place, patience);
      return;
    }
    target = place.path;
    options.mode = place.mode;
  }
  name_force_if_it_exists([&] { file_.emplace(target, options); });
  // Not before: until then the name may be another writer's.
  remove_on_signal_.emplace(base::AtomicFile::temporary_path(target));
}

void Output::open_device(const OutputPlace& place, std::chrono::nanoseconds patience) {
  const Deadline deadline = deadline_in(patience);
  const int flags = place.is_fifo ? O_NONBLOCK : 0;
  for (;;) {
    device_.reset(::open(place.path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | flags));
    if (device_) return;
    if (!place.is_fifo || errno != ENXIO) throw_errno("open " + name_);
    if (std::chrono::steady_clock::now() >= deadline)
      throw std::runtime_error("no reader came to " + name_ + " within " + to_text(patience));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void Output::name_force_if_it_exists(const std::function<void()>& step) const {
  try {
    step();
  } catch (const std::system_error& failure) {
    if (failure.code() != std::errc::file_exists) throw;
    throw std::runtime_error(name_ + " exists; --force replaces it");
  }
}

void Output::expect(const Input& input) {
  if (file_) {
    file_->expect_as_much_as(input.fd());
  } else if (input.is_file_of(STDOUT_FILENO)) {
    throw std::runtime_error(input.name() + " is also standard output: it would be written into itself");
  }
}

void Output::write(std::span<const std::byte> bytes) {
  if (part_) {
    part_->write(bytes);
  } else if (file_) {
    file_->write(bytes);
  } else {
    base::write_all(device_ ? device_.get() : STDOUT_FILENO, bytes, name_);
  }
}

void Output::commit() {
  if (device_) base::sync_if_possible(device_.get(), name_);
  if (part_) part_->commit();
  if (!file_) return;
  name_force_if_it_exists([&] { file_->commit(); });
  remove_on_signal_.reset();
}

}  // namespace sluice::tools

#include "output.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/error.hpp"

namespace sluice::tools {
namespace {

/// What a new file of this process may be.
mode_t usual_mode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666U & ~mask;
}

}  // namespace

OutputPlace::OutputPlace(const std::string& name) : path(name) {
  std::error_code none;
  if (const auto real = std::filesystem::canonical(path, none); !none) path = real;
  if (path.filename().empty()) throw std::runtime_error("output \"" + name + "\": expected a file name");
  struct stat old {};
  if (::stat(path.c_str(), &old) == 0) {
    replaceable = S_ISREG(old.st_mode);
    mode = old.st_mode & 07777U;
  } else if (errno == ENOENT) {
    mode = usual_mode();
  } else {
    throw_errno("look up " + name);
  }
}

Output::Output(const std::string& path, Existing existing) : name_(path == "-" ? "standard output" : path) {
  if (path == "-") return;
  std::filesystem::path target = path;
  base::AtomicFileOptions options{.replace = existing != Existing::refuse};
  if (existing == Existing::redirect) {
    const OutputPlace place(path);
    if (!place.replaceable) {
      device_.reset(::open(place.path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
      if (!device_) throw_errno("open " + name_);
      return;
    }
    target = place.path;
    options.mode = place.mode;
  }
  name_force_if_it_exists([&] { file_.emplace(target, options); });
  // Not before: until then the name may be another writer's.
  remove_on_signal_.emplace(base::AtomicFile::temporary_path(target));
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
  if (file_) {
    file_->write(bytes);
  } else {
    base::write_all(device_ ? device_.get() : STDOUT_FILENO, bytes, name_);
  }
}

void Output::commit() {
  if (device_) base::sync_if_possible(device_.get(), name_);
  if (!file_) return;
  name_force_if_it_exists([&] { file_->commit(); });
  remove_on_signal_.reset();
}

}  // namespace sluice::tools

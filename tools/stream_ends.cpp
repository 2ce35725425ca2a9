#include "stream_ends.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace sluice::tools {
namespace {

Descriptor open_input(const std::string& path) {
  if (path == "-") return {};
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw std::system_error(errno, std::system_category(), "open " + path);
  return fd;
}

}  // namespace

Input::Input(const std::string& path)
    : name_(path == "-" ? "standard input" : path), file_(open_input(path)), source_(fd(), name_) {
  if (::fstat(fd(), &status_) < 0) throw std::system_error(errno, std::system_category(), "fstat " + name_);
}

int Input::fd() const {
  return file_ ? file_.get() : STDIN_FILENO;
}

std::optional<std::uint64_t> Input::size() const {
  if (!S_ISREG(status_.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(status_.st_size);
}

bool Input::is_file_of(int fd) const {
  struct stat other {};
  return S_ISREG(status_.st_mode) && ::fstat(fd, &other) == 0 && other.st_dev == status_.st_dev &&
         other.st_ino == status_.st_ino;
}

Output::Output(const std::string& path, const Input& input)
    : standard_output_(STDOUT_FILENO, "standard output") {
  if (path != "-") {
    file_.emplace(path).expect_as_much_as(input.fd());
    file_sink_.emplace(*file_);
    // Not before: until then the name may be another writer's.
    remove_on_signal_.emplace(base::AtomicFile::temporary_path(path));
  } else if (input.is_file_of(STDOUT_FILENO)) {
    throw std::runtime_error(input.name() + " is also standard output: it would be written into itself");
  }
}

crypto::ByteSink& Output::sink() {
  if (file_sink_) return *file_sink_;
  return standard_output_;
}

void Output::commit() {
  if (!file_) return;
  file_->commit();
  remove_on_signal_.reset();
}

}  // namespace sluice::tools

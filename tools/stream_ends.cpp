#include "stream_ends.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
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

Input::Input(const std::string& path) : file_(open_input(path)), source_(file_ ? file_.get() : STDIN_FILENO) {
  struct stat status {};
  if (::fstat(file_ ? file_.get() : STDIN_FILENO, &status) < 0) {
    throw std::system_error(errno, std::system_category(), "fstat " + path);
  }
  if (S_ISREG(status.st_mode)) size_ = static_cast<std::uint64_t>(status.st_size);
}

Output::Output(const std::string& path, std::uint64_t expected) : standard_output_(STDOUT_FILENO) {
  if (path != "-") file_.emplace(path).expect(expected);
}

crypto::ByteSink& Output::sink() {
  if (file_) return *file_;
  return standard_output_;
}

void Output::commit() {
  if (file_) file_->commit();
}

}  // namespace sluice::tools

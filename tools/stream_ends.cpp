#include "stream_ends.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

Output::Output(const std::string& path) : standard_output_(STDOUT_FILENO) {
  if (path != "-") file_.emplace(path);
}

crypto::ByteSink& Output::sink() {
  if (file_) return *file_;
  return standard_output_;
}

void Output::commit() {
  if (file_) file_->commit();
}

ProgressBar::ProgressBar(std::optional<std::uint64_t> total)
    : on_(::isatty(STDERR_FILENO) == 1), total_(total) {}

ProgressBar::~ProgressBar() {
  if (on_ && shown_ != Clock::time_point{}) fmt::print(stderr, "\n");
}

void ProgressBar::show(std::uint64_t done) {
  const auto now = Clock::now();
  if (!on_ || now - shown_ < std::chrono::milliseconds(100)) return;
  shown_ = now;
  constexpr double kMib = 1024.0 * 1024.0;
  const double mib = static_cast<double>(done) / kMib;
  const double seconds = std::max(1e-3, std::chrono::duration<double>(now - start_).count());
  fmt::print(stderr, "\r{:10.1f} MiB  {:8.1f} MiB/s", mib, mib / seconds);
  if (total_ && *total_ > 0) {
    constexpr unsigned kWidth = 30;
    const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(*total_));
    const auto full = static_cast<unsigned>(part * kWidth);
    fmt::print(stderr, "  [{:=>{}}{: >{}}] {:3.0f} %", "", full, "", kWidth - full, part * 100);
  }
  std::fflush(stderr);
}

}  // namespace sluice::tools

#include "json_lines.hpp"

#include <fmt/core.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "console.hpp"
#include "json_text.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/decoder.hpp"

namespace sluice::tools {
namespace {

constexpr std::size_t kReadBytes = 65536;

class JsonLines {
 public:
  JsonLines(const Input& input, std::size_t max_bytes, BadLines bad_lines, PortStream& stream)
      : input_(input), max_bytes_(max_bytes), bad_lines_(bad_lines), stream_(stream) {}

  std::optional<std::span<const std::byte>> next();

 private:
  bool read();
  std::optional<std::string_view> next_line();
  void tell(const std::string& why);

  const Input& input_;
  const std::size_t max_bytes_;
  const BadLines bad_lines_;
  PortStream& stream_;
  std::string text_;        // what was read and isn't used up
  std::size_t used_ = 0;    // so much of it is
  std::size_t looked_ = 0;  // no line ends before here
  bool too_long_ = false;   // the beginning of the present line was dropped
  bool ended_ = false;
  std::uint64_t number_ = 0;  // of the present line
  std::vector<std::byte> message_;
};

/// False at the end of the input.
bool JsonLines::read() {
  text_.erase(0, used_);
  looked_ -= used_;
  used_ = 0;
  const std::size_t before = text_.size();
  text_.resize(before + kReadBytes);
  std::optional<std::size_t> count;
  while (!count) {
    stream_.wait_for_input(input_.fd());
    count = input_.try_read(std::as_writable_bytes(std::span(text_).subspan(before)));
  }
  text_.resize(before + *count);
  return *count > 0;
}

/// Without its end. Of a line that is too long, something.
std::optional<std::string_view> JsonLines::next_line() {
  too_long_ = false;
  for (;;) {
    const std::size_t end = text_.find('\n', looked_);
    if (end != std::string::npos || ended_) {
      const std::string_view line = std::string_view(text_).substr(0, end).substr(used_);
      used_ = looked_ = end == std::string::npos ? text_.size() : end + 1;
      if (line.size() > max_bytes_) too_long_ = true;
      if (end == std::string::npos && line.empty() && !too_long_) return std::nullopt;
      ++number_;
      return line;
    }
    looked_ = text_.size();
    if (looked_ - used_ > max_bytes_) {
      too_long_ = true;
      used_ = looked_;
    }
    ended_ = !read();
  }
}

std::optional<std::span<const std::byte>> JsonLines::next() {
  while (const auto line = next_line()) {
    if (too_long_) {
      tell(fmt::format("more than {} bytes", max_bytes_));
      continue;
    }
    if (line->find_first_not_of(" \t\r") == std::string_view::npos) continue;
    try {
      message_ = packed_of(parse_json(*line));
      if (message_.size() <= max_bytes_) return message_;
    } catch (const std::runtime_error& failure) {
      tell(failure.what());
      continue;
    }
    tell(fmt::format("a message of {} bytes, more than {}", message_.size(), max_bytes_));
  }
  return std::nullopt;
}

void JsonLines::tell(const std::string& why) {
  const std::string text = fmt::format("line {} of {}: {}", number_, input_.name(), why);
  if (bad_lines_ == BadLines::fail) throw std::runtime_error(text);
  complain(text + "; skipped");
}

}  // namespace

BlockSource json_messages(const Input& input, std::size_t max_bytes, BadLines bad_lines, PortStream& stream) {
  // Shared, since std::function copies.
  auto lines = std::make_shared<JsonLines>(input, max_bytes, bad_lines, stream);
  return [lines] { return lines->next(); };
}

BlockConsumer json_writer(Output& output, bool for_terminal) {
  return [&output, for_terminal, decoder = std::make_shared<codec::Decoder>(kJsonLimits),
          number = std::uint64_t{0}](std::span<const std::byte> message) mutable {
    ++number;
    std::string line;
    try {
      line = line_of(json_of(decoder->decode<msgpack::object>(message)), for_terminal) + '\n';
    } catch (const error& failure) {
      throw failure.about(fmt::format("message {} is no msgpack value", number));
    }
    output.write(std::as_bytes(std::span(line)));
  };
}

}  // namespace sluice::tools

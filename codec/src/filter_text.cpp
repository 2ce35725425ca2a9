#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "filter_error.hpp"
#include "filter_leaf.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/codec/filter.hpp"

namespace sluice::codec {
namespace {

/// Reads, with `or` binding less than `and`, and that less than `not`:
///   filter    = both { "or" both }
///   both      = one { "and" one }
///   one       = "not" one | "(" filter ")" | name { parameter }
///   parameter = name "=" ( word | '"' anything but '"' '"' )
class TextReader {
 public:
  explicit TextReader(std::string_view text) : text_(text) { skip_space(); }

  Filter read() {
    Filter filter = read_filter(0);
    if (at_ != text_.size()) refuse("and, or, a parameter or the end");
    return filter;
  }

 private:
  static bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  static bool ends_word(char c) noexcept { return is_space(c) || c == '(' || c == ')'; }

  void skip_space() noexcept {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }

  /// What stands here until a space or a parenthesis.
  std::string_view word() const noexcept {
    const auto rest = text_.substr(at_);
    return rest.substr(0, static_cast<std::size_t>(std::ranges::find_if(rest, ends_word) - rest.begin()));
  }

  void take(std::size_t bytes) noexcept {
    at_ += bytes;
    skip_space();
  }

  bool take_word(std::string_view wanted) noexcept {
    if (word() != wanted) return false;
    take(wanted.size());
    return true;
  }

  bool take_parenthesis(char wanted) noexcept {
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    take(1);
    return true;
  }

  [[noreturn]] void refuse(const std::string& expected) const {
    const auto rest = text_.substr(at_);
    refuse_filter("filter, at byte " + std::to_string(at_) + ": expected " + expected + ", got " +
                  (rest.empty() ? "the end" : base::quoted_text(rest, 40)));
  }

  Filter read_filter(unsigned level) {
    Filter filter = read_both(level);
    while (take_word("or")) filter = filter || read_both(level);
    return filter;
  }

  Filter read_both(unsigned level) {
    Filter filter = read_one(level);
    while (take_word("and")) filter = filter && read_one(level);
    return filter;
  }

  Filter read_one(unsigned level) {
    if (level == kDeepestFilter)
      refuse("parentheses and nots at most " + std::to_string(kDeepestFilter) + " deep");
    if (take_word("not")) return !read_one(level + 1);
    if (!take_parenthesis('(')) return read_leaf();
    Filter filter = read_filter(level + 1);
    if (!take_parenthesis(')')) refuse("and, or, a parameter or )");
    return filter;
  }

  Filter read_leaf() {
    const auto name = word();
    if (name.empty() || is_combination(name)) refuse("a filter");
    take(name.size());
    std::vector<FilterParameter> parameters;
    while (word().find('=') != std::string_view::npos) {
      if (parameters.size() == kMostParameters) refuse("fewer parameters");
      parameters.push_back(read_parameter());
    }
    return leaf_named(name, parameters);
  }

  FilterParameter read_parameter() {
    const auto name = word().substr(0, word().find('='));
    at_ += name.size() + 1;
    const auto rest = text_.substr(at_);
    std::string_view value = word();
    if (rest.empty() || rest.front() != '"') {
      take(value.size());
    } else {
      const auto end = rest.find('"', 1);
      if (end == std::string_view::npos || (end + 1 < rest.size() && !ends_word(rest[end + 1])))
        refuse("a value that ends with its second quote");
      value = rest.substr(1, end - 1);
      take(end + 1);
    }
    return {name, msgpack::object(value)};
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Filter Filter::parse(std::string_view text) {
  if (text.size() > kMostFilterText) {
    refuse_filter("filter: expected at most " + std::to_string(kMostFilterText) + " bytes of text, got " +
                  std::to_string(text.size()));
  }
  return TextReader(text).read();
}

}  // namespace sluice::codec

// The one exception type of the library, and the conditions that every room shares.
//
// Each room has an enum of its own for what only it can find wrong, with a category of its own, in an error
// header of its own. A failed system call carries its errno in the system category.
// `catch (const sluice::error&)` catches all of them.
#pragma once

#include <exception>
#include <string>
#include <system_error>

#pragma GCC visibility push(default)

namespace sluice {

/// Conditions that any room may find.
enum class errc {
  bad_option = 1,  ///< an option or argument outside its documented range
  bad_name,        ///< a name or path that can't be used
  unsafe_place,  ///< a directory or file that somebody else could control, or a place that is no regular file
  timed_out,     ///< the deadline passed first
  busy,          ///< somebody else is writing this file
  misuse,        ///< a call that the object's state doesn't allow
};

/// The category of sluice::errc, named "sluice".
const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), category()};
}

/// What set-up and misuse throw, in every room. what() names the object, what was expected and what came, and
/// ends with the code's message. `code` may be a value of one of the enums above.
class error : public std::system_error {
 public:
  error(std::error_code code, const std::string& detail) : std::system_error(code, detail) {}

  /// what() without the code's message at its end.
  std::string detail() const;

  /// The same code and detail, with the name of the file or object that it is about in front.
  error about(const std::string& name) const;
};

/// What an exception of anybody's says: what() may be null there.
std::string words_of(const std::exception& failure);

/// Throws sluice::error with the system category and the current errno; `what` names the call and its object.
[[noreturn]] void throw_errno(const std::string& what);

/// The same for a saved errno value.
[[noreturn]] void throw_errno(int saved_errno, const std::string& what);

}  // namespace sluice

template <>
struct std::is_error_code_enum<sluice::errc> : std::true_type {};

#pragma GCC visibility pop

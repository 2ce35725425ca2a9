// How a room makes the category of its errors.
#pragma once

#include <string_view>
#include <system_error>

#pragma GCC visibility push(default)

namespace sluice::base {

/// A category made of its name and a function that says what a code means (nothing if it is none):
///
///   constinit const base::ErrorCategory kCategory("sluice.ring", text_of);
///
/// Such a variable is there before any constructor runs and is never destroyed: threads may still meet an
/// error at the very end of the program.
class ErrorCategory {
 public:
  using TextOf = std::string_view (*)(int code);

  constexpr ErrorCategory(const char* name, TextOf text_of) noexcept : category_(name, text_of) {}
  ErrorCategory(const ErrorCategory&) = delete;
  ErrorCategory& operator=(const ErrorCategory&) = delete;
  ~ErrorCategory() {}  // NOLINT(modernize-use-equals-default): leaves category_ alone, see above

  const std::error_category& get() const noexcept { return category_; }

 private:
  class Category final : public std::error_category {
   public:
    constexpr Category(const char* name, TextOf text_of) noexcept : name_(name), text_of_(text_of) {}
    const char* name() const noexcept override { return name_; }
    std::string message(int code) const override;

   private:
    const char* name_;
    TextOf text_of_;
  };

  union {
    Category category_;
  };
};

}  // namespace sluice::base

#pragma GCC visibility pop

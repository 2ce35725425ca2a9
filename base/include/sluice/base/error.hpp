// Errors of set-up and misuse: one exception type, one category.
#pragma once

#include <string>
#include <system_error>

namespace sluice {

/// Conditions of sluice's own category; failures of system calls carry their errno in the system category.
enum class errc {
  bad_option = 1,    ///< an option outside its documented range
  bad_name,          ///< a channel name or path that can't be used
  name_taken,        ///< a live listener has this name
  unsafe_directory,  ///< the directory or file at this place could be controlled by somebody else
  timed_out,         ///< the deadline passed before the peer answered
  refused,           ///< the peer, or its credentials, were refused
  protocol,          ///< the peer sent something that breaks the handshake's rules
  bad_version,       ///< the peer speaks another version
  bad_region,        ///< a shared-memory region isn't what its owner says, or isn't sealed
  peer_gone,         ///< the peer ended during the handshake
  broken_ring,       ///< the peer's memory broke a rule of the ring
  misuse,            ///< a call that the object's state doesn't allow
  bad_checkpoint,    ///< a stored checkpoint is damaged, or isn't one
};

/// The category of sluice::errc, named "sluice".
const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), category()};
}

/// What set-up and misuse throw. what() names the object, what was expected and what came.
class error : public std::system_error {
 public:
  error(errc code, const std::string& what) : std::system_error(make_error_code(code), what) {}
  error(std::error_code code, const std::string& what) : std::system_error(code, what) {}
};

/// Throws sluice::error with the system category and the current errno; `what` names the call and its object.
[[noreturn]] void throw_errno(const std::string& what);

/// The same for a saved errno value.
[[noreturn]] void throw_errno(int saved_errno, const std::string& what);

}  // namespace sluice

template <>
struct std::is_error_code_enum<sluice::errc> : std::true_type {};

// Why two processes couldn't be connected.
#pragma once

#include <system_error>

#include "sluice/base/error.hpp"

#pragma GCC visibility push(default)

namespace sluice {

/// Conditions of listening and connecting, thrown as sluice::error.
enum class connect_errc {
  name_taken = 1,  ///< a live listener has this name
  refused,         ///< the peer, or its credentials, were refused
  protocol,        ///< the peer sent something that breaks the handshake's rules
  bad_version,     ///< the peer speaks another version
  peer_gone,       ///< the peer ended during the handshake
  closed,          ///< the listener was closed here
};

/// The category of connect_errc, named "sluice.connect".
const std::error_category& connect_category() noexcept;

inline std::error_code make_error_code(connect_errc code) noexcept {
  return {static_cast<int>(code), connect_category()};
}

}  // namespace sluice

template <>
struct std::is_error_code_enum<sluice::connect_errc> : std::true_type {};

#pragma GCC visibility pop

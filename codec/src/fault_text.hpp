// What is wrong with the bytes of a message, in words.
#pragma once

#include <cstddef>
#include <string>
#include <system_error>

#include "sluice/codec/decode_options.hpp"

namespace sluice::codec::detail {

/// "message of 12 bytes".
std::string message_of(std::size_t bytes);

/// The text for a fault that ObjectTree::parse has found at `at`.
std::string fault_text(std::error_code fault, std::size_t bytes, std::size_t at,
                       const DecodeOptions& options);

}  // namespace sluice::codec::detail

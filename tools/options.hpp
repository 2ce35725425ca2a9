// Options whose values have a form of their own: sizes, times, users.
#pragma once

#include <sys/types.h>

#include <CLI/App.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::tools {

/// Takes 65536, 64K, 1M, 2G (powers of 1024); `bytes` must be from `least` to `most`.
CLI::Option* add_size(CLI::App& command, const std::string& names, std::uint64_t& bytes, std::uint64_t least,
                      std::uint64_t most, const std::string& description);

/// Takes 2.5 (seconds), 500ms, 2s, 5m, 1h; at most a billion seconds.
CLI::Option* add_time(CLI::App& command, const std::string& names, std::chrono::nanoseconds& time,
                      const std::string& description);

/// Takes a user's name or number, and may be repeated.
CLI::Option* add_users(CLI::App& command, const std::string& names, std::vector<uid_t>& users,
                       const std::string& description);

/// For messages: "0.2 s".
std::string to_text(std::chrono::nanoseconds time);

}  // namespace sluice::tools

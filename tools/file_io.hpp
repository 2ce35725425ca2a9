// Reading and writing descriptors to the last byte, and making files durable. Everything throws the system's
// error, with `what` as the object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace sluice::tools {

/// Writes all bytes to a descriptor, short writes and interruptions notwithstanding.
void write_fully(int fd, std::span<const std::byte> bytes, const std::string& what);

/// The same at a place in a file.
void write_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset, const std::string& what);

/// Fills `room` from a place in a file; fewer bytes only where the file ends.
std::size_t read_at(int fd, std::span<std::byte> room, std::uint64_t offset, const std::string& what);

/// Waits until the bytes are on the disk; nothing where the descriptor is none that can be synced.
void sync(int fd, const std::string& what);

/// The directory that holds this path.
std::filesystem::path directory_of(const std::filesystem::path& path);

/// Renames, durably: `to` is the old file or the new one, also when the power fails.
void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to,
                    const std::string& what);

}  // namespace sluice::tools

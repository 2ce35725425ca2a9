// One body per input format, shared by the timed mutation run and the libFuzzer entry. Whatever the bytes
// are, the only outcome besides success is an exception of this library; memory and time are bounded by the
// input's size.
#pragma once

#include <cstddef>
#include <span>

namespace sluice::crypto::fuzz {

/// Decodes the bytes as every kind of header, key file included.
void run_headers(std::span<const std::byte> bytes);

/// Opens the bytes as a sealed stream of either format and of version 1, in every way there is. Returns
/// whether a protected format accepted them.
bool run_stream(std::span<const std::byte> bytes);

/// Reads, verifies and reopens a journal whose only segment is these bytes. Returns whether all of it was
/// accepted.
bool run_journal(std::span<const std::byte> bytes);

}  // namespace sluice::crypto::fuzz

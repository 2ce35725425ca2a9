// The warning that goes with --legacy-v1.
#pragma once

#include <string>

#include "sluice/crypto/seal/options.hpp"

namespace sluice::tools {

/// Warns on standard error if the options allow version 1 and the file is of that version, or can't be looked
/// at before it is read ("-", a pipe). Throws what crypto::inspect_file throws.
void warn_of_legacy(const std::string& file, const crypto::OpenOptions& options);

}  // namespace sluice::tools

#include "legacy_warning.hpp"

#include <filesystem>
#include <system_error>

#include "sluice/crypto/inspect/inspect.hpp"
#include "standard_streams.hpp"

namespace sluice::tools {
namespace {

bool is_legacy(const std::string& file, crypto::Format format) {
  const auto info = crypto::inspect_file(file, format);
  return info.kind == crypto::FileKind::agcm && info.version == 1;
}

}  // namespace

void warn_of_legacy(const std::string& file, const crypto::OpenOptions& options) {
  if (!options.allow_legacy_v1) return;
  std::error_code missing;  // which opening it says better
  const bool can_look = file != "-" && std::filesystem::is_regular_file(file, missing);
  if (can_look && !is_legacy(file, options.format)) return;
  say("sluice: warning: {} can't tell forged, reordered or missing chunks; trust the plaintext as "
      "far as the place where the file was kept\n",
      can_look ? "version 1" : "if this is version 1, it");
}

}  // namespace sluice::tools

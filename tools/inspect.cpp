// sluice inspect: what a sealed file says about itself, without a key.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "commands.hpp"
#include "sluice/crypto/files.hpp"

namespace sluice::tools {
namespace {

void print_info(const std::string& file) {
  const auto info = crypto::inspect_file(file);
  fmt::print("format      AGCM version {}{}\n", info.version,
             info.version == 1 ? " (unprotected: migrate with open --legacy-v1 and seal)" : "");
  fmt::print("chunk size  {} bytes\n", info.chunk_size);
  if (info.key_id) {
    fmt::print("cipher      AES-256-GCM\n");
    fmt::print("key id      {}\n", info.key_id->to_hex());
  }
  fmt::print("file        {} bytes\n", info.file_bytes);
  if (info.plaintext_bytes) {
    fmt::print("plaintext   {} bytes in {} chunks, by the file's size: not verified\n", *info.plaintext_bytes,
               *info.chunks);
  } else if (info.version != 1) {
    fmt::print("plaintext   unknown: no whole stream has this size\n");
  }
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto file = std::make_shared<std::string>();
  auto* command =
      app.add_subcommand("inspect", "Show a sealed file's header, key id and length; needs no key");
  command->add_option("FILE", *file, "Sealed file (format agcm)")->required();
  command->callback([file] { print_info(*file); });
}

}  // namespace sluice::tools

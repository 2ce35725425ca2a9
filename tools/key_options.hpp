// Options that name keys and contexts, shared by the commands that seal and open.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "sluice/crypto/key/key_file.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/seal/options.hpp"

namespace sluice::tools {

/// Where passphrases come from: a file given on the command line, or the terminal, without echo.
class PassphraseOption {
 public:
  void add_to(CLI::App& command);
  bool given() const { return !file_.empty(); }
  /// Asks for the passphrase of `what`; twice and compared where `confirm` is set.
  std::string ask(const std::string& what, bool confirm = false) const;

 private:
  std::string file_;
};

/// Reads a key file, asking for its passphrase if it has one, and says so where its memory can't be locked.
/// From then on this process leaves no core file.
crypto::SecretKey load_key(const std::string& path, const PassphraseOption& passphrase);

/// --context TEXT or --context-hex HEX.
class ContextOption {
 public:
  void add_to(CLI::App& command);
  std::string value() const;

 private:
  std::string text_;
  std::string hex_;
};

/// --format agcm|c2sp.
void add_format_option(CLI::App& command, crypto::Format& format);

/// --workers N.
void add_workers_option(CLI::App& command, unsigned& workers);

/// Makes this process leave no core file: for commands that hold keys.
void forbid_core_files();

}  // namespace sluice::tools

// What the commands that seal, open and rekey share: keys, contexts and how the work is done.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "progress.hpp"
#include "sluice/crypto/key/secret_key.hpp"
#include "sluice/crypto/seal/options.hpp"

namespace sluice::tools {

/// Where passphrases come from: a file given on the command line, or the terminal, without echo.
class PassphraseOption {
 public:
  void add_to(CLI::App& command);
  bool given() const { return !file_.empty(); }
  /// Asks for the passphrase of `what`; twice, and both must be the same, if `confirm` is set.
  std::string ask(const std::string& what, bool confirm = false) const;

 private:
  std::string file_;
};

struct SealingArguments {
  std::vector<std::string> keys;
  std::string input;
  std::string output;
  bool force = false;
  bool legacy = false;
  unsigned workers = 1;
  crypto::Format format = crypto::Format::agcm;
  std::string context;
  PassphraseOption passphrase;

  /// Adds everything but keys, legacy, and the files.
  void add_to(CLI::App& command);
  void add_files_to(CLI::App& command, const std::string& in, const std::string& out);
  void add_legacy_to(CLI::App& command, const std::string& description);

  /// Reads a key file, asking for its passphrase if it has one, and says so if its memory can't be locked.
  /// From then on this process leaves no core file.
  crypto::SecretKey load_key(const std::string& path) const;
  crypto::OpenOptions open_options() const;
  crypto::TransferOptions transfer_options(Progress& progress) const;

  /// Warns if version 1 is allowed and the input is of that version, or can't be looked at before it is read
  /// ("-", a pipe).
  void warn_of_legacy() const;
};

/// --format agcm|c2sp.
CLI::Option* add_format_option(CLI::App& command, crypto::Format& format);

/// Makes this process leave no core file: for commands that hold keys.
void forbid_core_files();

}  // namespace sluice::tools

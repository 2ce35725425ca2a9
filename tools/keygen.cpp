// sluice keygen: a new key file, random or from a passphrase.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "commands.hpp"
#include "key_options.hpp"
#include "sluice/crypto/key/key_file.hpp"

namespace sluice::tools {
namespace {

struct KeygenArguments {
  std::string file;
  bool from_passphrase = false;
  PassphraseOption passphrase;
  unsigned memory_mib = crypto::PassphraseParameters{}.memory_kib / 1024;
  unsigned passes = crypto::PassphraseParameters{}.passes;
};

crypto::SecretKey make_key(const KeygenArguments& arguments) {
  if (!arguments.from_passphrase && !arguments.passphrase.given()) {
    auto key = crypto::SecretKey::generate();
    crypto::save_key_file(arguments.file, key);
    return key;
  }
  auto parameters = crypto::PassphraseParameters::with_random_salt();
  parameters.memory_kib = arguments.memory_mib * 1024;
  parameters.passes = arguments.passes;
  const auto passphrase = arguments.passphrase.ask(arguments.file, true);
  if (passphrase.empty()) throw CLI::ValidationError("--passphrase", "is empty");
  return crypto::create_passphrase_key_file(arguments.file, passphrase, parameters);
}

}  // namespace

void add_keygen(CLI::App& app) {
  using Parameters = crypto::PassphraseParameters;
  auto arguments = std::make_shared<KeygenArguments>();
  auto* command =
      app.add_subcommand("keygen", "Make a key file (32 random bytes, mode 0600); never replaces one");
  command->add_flag("--passphrase", arguments->from_passphrase,
                    "Derive the key from a passphrase (Argon2id); the file then holds only salt and costs");
  arguments->passphrase.add_to(*command);
  command->add_option("--memory", arguments->memory_mib, "Argon2id memory in MiB (default 256)")
      ->check(CLI::Range(Parameters::kMinMemoryKib / 1024, Parameters::kMaxMemoryKib / 1024))
      ->type_name("MIB");
  command->add_option("--passes", arguments->passes, "Argon2id passes (default 3)")
      ->check(CLI::Range(1U, Parameters::kMaxPasses))
      ->type_name("N");
  command->add_option("FILE", arguments->file, "Where to put it")->required();
  command->callback([arguments] {
    forbid_core_files();
    const auto key = make_key(*arguments);
    fmt::print("{}: key {}\n", arguments->file, key.id().to_hex());
  });
}

}  // namespace sluice::tools

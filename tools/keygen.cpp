// sluice keygen: a new key file, random or from a passphrase.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cctype>
#include <memory>
#include <string>

#include "commands.hpp"
#include "options.hpp"
#include "sealing.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/crypto/key/key_file.hpp"

namespace sluice::tools {
namespace {

using Parameters = crypto::PassphraseParameters;

constexpr std::uint64_t kKibi = 1024;

struct KeygenArguments {
  std::string file;
  bool from_passphrase = false;
  PassphraseOption passphrase;
  std::uint64_t memory_bytes = Parameters{}.memory_kib * kKibi;
  unsigned passes = Parameters{}.passes;
};

crypto::SecretKey make_key(const KeygenArguments& arguments) {
  if (!arguments.from_passphrase && !arguments.passphrase.given()) {
    auto key = crypto::SecretKey::generate();
    crypto::save_key_file(arguments.file, key);
    return key;
  }
  auto parameters = Parameters::with_random_salt();
  parameters.memory_kib = static_cast<unsigned>(arguments.memory_bytes / kKibi);
  parameters.passes = arguments.passes;
  const auto passphrase = arguments.passphrase.ask(arguments.file, true);
  if (passphrase.empty()) throw CLI::ValidationError("--passphrase", "is empty");
  return crypto::create_passphrase_key_file(arguments.file, passphrase, parameters);
}

}  // namespace

void add_keygen(CLI::App& app) {
  auto arguments = std::make_shared<KeygenArguments>();
  auto* command =
      add_command(app, "keygen", "Make a key file (32 random bytes, mode 0600); never replaces one",
                  "sluice keygen --passphrase backup.key");
  command
      ->add_flag("-p,--passphrase", arguments->from_passphrase,
                 "Derive the key from a passphrase; the file holds salt and costs")
      ->group("Key");
  arguments->passphrase.add_to(*command);
  add_size(*command, "--memory", arguments->memory_bytes, Parameters::kMinMemoryKib * kKibi,
           Parameters::kMaxMemoryKib * kKibi, "Argon2id memory (default 256M; a plain number counts MiB)")
      ->transform([](const std::string& text) { return text + (std::isdigit(text.back()) != 0 ? "M" : ""); })
      ->group("Key");
  command->add_option("--passes", arguments->passes, "Argon2id passes (default 3)")
      ->check(CLI::Range(1U, Parameters::kMaxPasses))
      ->type_name("N")
      ->group("Key");
  command->add_option("FILE", arguments->file, "Where to put it")->required();
  command->callback([arguments] {
    forbid_core_files();
    const auto key = make_key(*arguments);
    fmt::print("{}: key {}\n", base::printable(arguments->file), key.id().to_hex());
  });
}

}  // namespace sluice::tools

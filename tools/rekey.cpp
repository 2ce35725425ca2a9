// sluice rekey: the same file under another key.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "commands.hpp"
#include "key_options.hpp"
#include "legacy_warning.hpp"
#include "progress_bar.hpp"
#include "remove_on_signal.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/crypto/seal/files.hpp"

namespace sluice::tools {
namespace {

struct RekeyArguments {
  std::string from;
  std::string to;
  std::string file;
  crypto::OpenOptions options;
  unsigned workers = 1;
  PassphraseOption passphrase;
  ContextOption context;
};

void run_rekey(RekeyArguments& arguments) {
  const auto from = load_key(arguments.from, arguments.passphrase);
  const auto to = load_key(arguments.to, arguments.passphrase);
  arguments.options.context = arguments.context.value();
  warn_of_legacy(arguments.file, arguments.options);
  const RemoveOnSignal remove_unfinished(base::AtomicFile::temporary_path(arguments.file));
  ProgressBar bar({});
  crypto::rekey_file(arguments.file, from, to, arguments.options,
                     {.workers = arguments.workers, .progress = [&](std::uint64_t done) { bar.show(done); }});
}

}  // namespace

void add_rekey(CLI::App& app) {
  auto arguments = std::make_shared<RekeyArguments>();
  auto* command = app.add_subcommand(
      "rekey", "Seal a file under another key; the old file is replaced once the new one has been read back");
  command->add_option("--from", arguments->from, "Key the file is sealed with")
      ->required()
      ->type_name("FILE");
  command->add_option("--to", arguments->to, "New key")->required()->type_name("FILE");
  add_workers_option(*command, arguments->workers);
  add_format_option(*command, arguments->options.format);
  arguments->context.add_to(*command);
  arguments->passphrase.add_to(*command);
  command->add_flag("--legacy-v1", arguments->options.allow_legacy_v1,
                    "Also take version 1; the result is version 2");
  command->add_option("FILE", arguments->file, "Sealed file")->required();
  command->callback([arguments] { run_rekey(*arguments); });
}

}  // namespace sluice::tools

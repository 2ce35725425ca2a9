// sluice rekey: the same file under another key.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "commands.hpp"
#include "progress.hpp"
#include "remove_on_signal.hpp"
#include "sealing.hpp"
#include "sluice/base/atomic_file.hpp"
#include "sluice/crypto/seal/files.hpp"

namespace sluice::tools {
namespace {

struct RekeyArguments : SealingArguments {
  std::string from;
  std::string to;
};

void run_rekey(const RekeyArguments& arguments) {
  const auto from = arguments.load_key(arguments.from);
  const auto to = arguments.load_key(arguments.to);
  arguments.warn_of_legacy();
  const RemoveOnSignal remove_unfinished(base::AtomicFile::temporary_path(arguments.input));
  Progress progress;
  progress.finish(crypto::rekey_file(arguments.input, from, to, arguments.open_options(),
                                     arguments.transfer_options(progress)));
}

}  // namespace

void add_rekey(CLI::App& app) {
  auto arguments = std::make_shared<RekeyArguments>();
  auto* command = add_command(app, "rekey", "Seal a file under another key, once the result was checked",
                              "sluice rekey --from old.key --to new.key photos.sealed");
  for (auto* option : {command->add_option("--from", arguments->from, "Key the file is sealed with"),
                       command->add_option("--to", arguments->to, "New key")})
    option->required()->type_name("FILE")->group("Key");
  command->add_option("FILE", arguments->input, "Sealed file")->required();
  arguments->add_to(*command);
  arguments->add_legacy_to(*command, "Also take version 1; the result is version 2");
  command->callback([arguments] { run_rekey(*arguments); });
}

}  // namespace sluice::tools

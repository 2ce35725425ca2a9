// sluice seal and sluice open: streams and files, sealed and opened.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "commands.hpp"
#include "key_options.hpp"
#include "legacy_warning.hpp"
#include "progress_bar.hpp"
#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"
#include "sluice/crypto/seal/transfer.hpp"
#include "standard_streams.hpp"
#include "stream_ends.hpp"

namespace sluice::tools {
namespace {

struct SealArguments {
  std::string key_file;
  std::string input;
  std::string output;
  crypto::SealOptions options;
  unsigned workers = 1;
  PassphraseOption passphrase;
  ContextOption context;
};

struct OpenArguments {
  std::vector<std::string> key_files;
  std::string input;
  std::string output;
  crypto::OpenOptions options;
  unsigned workers = 1;
  PassphraseOption passphrase;
  ContextOption context;
};

void run_seal(SealArguments& arguments) {
  if (arguments.output == "-" && ::isatty(STDOUT_FILENO) == 1) {
    throw std::runtime_error("sealed bytes are not for a terminal; redirect standard output");
  }
  const auto key = load_key(arguments.key_file, arguments.passphrase);
  arguments.options.context = arguments.context.value();
  Input input(arguments.input);
  Output output(arguments.output, input);
  ProgressBar bar(input.size());
  crypto::naming(input.name(), [&] {
    crypto::seal(input.source(), output.sink(), key, arguments.options,
                 {.workers = arguments.workers, .progress = [&](std::uint64_t done) { bar.show(done); }});
  });
  output.commit();
}

void run_open(OpenArguments& arguments) {
  crypto::KeyRing keys;
  for (const auto& file : arguments.key_files) keys.add(load_key(file, arguments.passphrase));
  arguments.options.context = arguments.context.value();
  warn_of_legacy(arguments.input, arguments.options);
  Input input(arguments.input);
  Output output(arguments.output, input);
  ProgressBar bar(input.size());
  try {
    crypto::naming(input.name(), [&] {
      crypto::open(input.source(), output.sink(), keys, arguments.options,
                   {.workers = arguments.workers, .progress = [&](std::uint64_t done) { bar.show(done); }});
    });
  } catch (const std::exception&) {
    if (arguments.output == "-") say("sluice: what was written is authentic, but not the whole stream\n");
    throw;
  }
  output.commit();
}

}  // namespace

void add_seal(CLI::App& app) {
  auto arguments = std::make_shared<SealArguments>();
  auto* command =
      app.add_subcommand("seal", "Encrypt a file or stream; OUT appears only when complete and synced");
  command->add_option("--key-file", arguments->key_file, "Key made by sluice keygen")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--chunk", arguments->options.chunk_bytes,
                   "Chunk size in bytes, a power of two (default 65536)")
      ->check(CLI::Range(crypto::AgcmHeader::kMinChunkSize, crypto::AgcmHeader::kMaxChunkSize))
      ->type_name("N");
  add_workers_option(*command, arguments->workers);
  add_format_option(*command, arguments->options.format);
  arguments->context.add_to(*command);
  arguments->passphrase.add_to(*command);
  command->add_option("IN", arguments->input, "Plaintext, - for standard input")->required();
  command->add_option("OUT", arguments->output, "Sealed file, - for standard output")->required();
  command->callback([arguments] { run_seal(*arguments); });
}

void add_open(CLI::App& app) {
  auto arguments = std::make_shared<OpenArguments>();
  auto* command =
      app.add_subcommand("open",
                         "Decrypt a file or stream; OUT appears only when all of it is verified.\n"
                         "With - as OUT, what is written before an error is authentic but the stream "
                         "incomplete: use it only if the "
                         "exit status is 0.");
  command
      ->add_option("--key-file", arguments->key_files,
                   "Key; given more than once, the file's key id picks one")
      ->required()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("FILE");
  add_workers_option(*command, arguments->workers);
  add_format_option(*command, arguments->options.format);
  arguments->context.add_to(*command);
  arguments->passphrase.add_to(*command);
  command->add_flag("--legacy-v1", arguments->options.allow_legacy_v1,
                    "Also read version 1, which isn't protected against tampering");
  command->add_option("IN", arguments->input, "Sealed file, - for standard input")->required();
  command->add_option("OUT", arguments->output, "Plaintext, - for standard output")->required();
  command->callback([arguments] { run_open(*arguments); });
}

}  // namespace sluice::tools

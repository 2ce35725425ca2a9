// sluice seal and sluice open: streams and files, sealed and opened.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <stdexcept>

#include "commands.hpp"
#include "console.hpp"
#include "input.hpp"
#include "options.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "sealing.hpp"
#include "sluice/crypto/key/error.hpp"
#include "sluice/crypto/key/key_ring.hpp"
#include "sluice/crypto/seal/agcm_header.hpp"
#include "sluice/crypto/seal/byte_io.hpp"
#include "sluice/crypto/seal/transfer.hpp"

namespace sluice::tools {
namespace {

struct SealArguments : SealingArguments {
  std::uint64_t chunk_bytes = 0;
};

class OutputSink final : public crypto::ByteSink {
 public:
  explicit OutputSink(Output& output) : output_(output) {}
  void write(std::span<const std::byte> bytes) override { output_.write(bytes); }

 private:
  Output& output_;
};

/// Lets `work` make the output of the input; the output appears when that has worked.
template <class Work>
void convert(const SealingArguments& arguments, const Work& work) {
  const Input input(arguments.input);
  Output output(arguments.output, arguments.force ? Existing::replace : Existing::refuse);
  output.expect(input);
  Progress progress(input.size());
  crypto::FdSource source(input.fd(), input.name());
  OutputSink sink(output);
  std::uint64_t done = 0;
  crypto::naming(input.name(), [&] { done = work(source, sink, arguments.transfer_options(progress)); });
  output.commit();
  progress.finish(done);
}

void run_seal(const SealArguments& arguments) {
  if (arguments.output == "-" && ::isatty(STDOUT_FILENO) == 1)
    throw std::runtime_error("sealed bytes are not for a terminal; redirect standard output");
  const auto key = arguments.load_key(arguments.keys.front());
  crypto::SealOptions options;
  options.format = arguments.format;
  options.context = arguments.context;
  options.chunk_bytes = static_cast<std::uint32_t>(arguments.chunk_bytes);
  convert(arguments, [&](auto& source, auto& sink, const auto& transfer) {
    return crypto::seal(source, sink, key, options, transfer);
  });
}

void run_open(const SealingArguments& arguments) {
  crypto::KeyRing keys;
  for (const auto& file : arguments.keys) keys.add(arguments.load_key(file));
  arguments.warn_of_legacy();
  convert(arguments, [&](auto& source, auto& sink, const auto& transfer) {
    try {
      return crypto::open(source, sink, keys, arguments.open_options(), transfer);
    } catch (const std::exception&) {
      if (arguments.output == "-") complain("what was written is authentic, but not the whole stream");
      throw;
    }
  });
}

}  // namespace

void add_seal(CLI::App& app) {
  auto arguments = std::make_shared<SealArguments>();
  auto* command = add_command(app, "seal", "Encrypt a file or stream; OUT appears only if complete",
                              "tar -c photos | sluice seal --key-file backup.key - photos.sealed");
  command->add_option("-k,--key-file", arguments->keys, "Key made by sluice keygen")
      ->required()
      ->expected(1)
      ->type_name("FILE")
      ->group("Key");
  arguments->add_files_to(*command, "Plaintext", "Sealed file");
  arguments->add_to(*command);
  add_size(*command, "-b,--chunk", arguments->chunk_bytes, crypto::AgcmHeader::kMinChunkSize,
           crypto::AgcmHeader::kMaxChunkSize, "Chunk size, a power of two (default 64K)")
      ->group("Content");
  command->callback([arguments] { run_seal(*arguments); });
}

void add_open(CLI::App& app) {
  auto arguments = std::make_shared<SealingArguments>();
  auto* command =
      add_command(app, "open", "Decrypt a file or stream; OUT appears only if all of it is verified",
                  "sluice open --key-file backup.key photos.sealed photos.tar\n\n"
                  "With - as OUT, what is written before an error is authentic but the stream incomplete:\n"
                  "use it only if the exit code is 0.");
  command->add_option("-k,--key-file", arguments->keys, "Key; may be repeated, the file's key id picks one")
      ->required()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("FILE")
      ->group("Key");
  arguments->add_files_to(*command, "Sealed file", "Plaintext");
  arguments->add_to(*command);
  arguments->add_legacy_to(*command, "Also read version 1, which isn't protected against tampering");
  command->callback([arguments] { run_open(*arguments); });
}

}  // namespace sluice::tools

#include "sealing.hpp"

#include <fmt/core.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <system_error>

#include "console.hpp"
#include "input.hpp"
#include "quiet_terminal.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/crypto/inspect/inspect.hpp"
#include "sluice/crypto/key/key_file.hpp"

namespace sluice::tools {
namespace {

std::string from_hex(const std::string& digits) {
  if (digits.size() % 2 != 0 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
    throw CLI::ValidationError("--context-hex", "expected an even number of hexadecimal digits");
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

}  // namespace

void PassphraseOption::add_to(CLI::App& command) {
  command
      .add_option("--passphrase-file", file_,
                  "Read the passphrase from this file's first line, not the terminal")
      ->type_name("FILE")
      ->group("Key");
}

std::string PassphraseOption::ask(const std::string& what, bool confirm) const {
  if (given()) {
    const Input file(file_);
    return read_passphrase(file.fd(), file.name());
  }
  QuietTerminal terminal;
  auto passphrase = terminal.ask("Passphrase for " + base::printable(what));
  if (confirm) {
    auto again = terminal.ask("Again");
    const bool same = again == passphrase;
    ::explicit_bzero(again.data(), again.size());
    if (!same) throw std::runtime_error("the two passphrases differ");
  }
  return passphrase;
}

void SealingArguments::add_to(CLI::App& command) {
  passphrase.add_to(command);
  auto* text = command.add_option("-c,--context", context, "What the data is for; needed again to open it")
                   ->type_name("TEXT");
  auto* hex = command
                  .add_option_function<std::string>(
                      "--context-hex", [this](const std::string& digits) { context = from_hex(digits); },
                      "The same, any bytes, as hexadecimal digits")
                  ->type_name("HEX");
  auto* threads =
      command.add_option("-j,--workers", workers, "Threads for the work (default 1, at most 256)")
          ->check(CLI::Range(1U, 256U))
          ->type_name("N");
  auto* layout = add_format_option(command, format);
  hex->excludes(text);
  for (auto* option : {text, hex, threads, layout}) option->group("Content");
}

void SealingArguments::add_files_to(CLI::App& command, const std::string& in, const std::string& out) {
  command.add_option("IN", input, in + "; -: standard input")->required();
  command.add_option("OUT", output, out + "; -: standard output")->required();
  command.add_flag("-f,--force", force, "Replace OUT if it exists")->group("Content");
}

void SealingArguments::add_legacy_to(CLI::App& command, const std::string& description) {
  command.add_flag("--legacy-v1", legacy, description)->group("Content");
}

crypto::SecretKey SealingArguments::load_key(const std::string& path) const {
  forbid_core_files();
  auto key = crypto::load_key_file(path, [&] { return passphrase.ask(path); });
  if (!key.locked()) note("note: the key's memory can't be locked (see ulimit -l); it may be swapped out");
  return key;
}

crypto::OpenOptions SealingArguments::open_options() const {
  crypto::OpenOptions options;
  options.format = format;
  options.context = context;
  options.allow_legacy_v1 = legacy;
  return options;
}

crypto::TransferOptions SealingArguments::transfer_options(Progress& progress) const {
  return {.workers = workers, .progress = [&progress](std::uint64_t done) { progress.show(done); }};
}

void SealingArguments::warn_of_legacy() const {
  if (!legacy) return;
  std::error_code missing;  // which opening it says better
  const bool can_look = input != "-" && std::filesystem::is_regular_file(input, missing);
  if (can_look) {
    const auto info = crypto::inspect_file(input, format);
    if (info.kind != crypto::FileKind::agcm || info.version != 1) return;
  }
  complain(
      fmt::format("warning: {} can't tell forged, reordered or missing chunks; trust the plaintext as far "
                  "as the place where the file was kept",
                  can_look ? "version 1" : "if this is version 1, it"));
}

CLI::Option* add_format_option(CLI::App& command, crypto::Format& format) {
  static const std::map<std::string, crypto::Format> names{{"agcm", crypto::Format::agcm},
                                                           {"c2sp", crypto::Format::c2sp}};
  return command
      .add_option_function<std::string>(
          "--format", [&format](const std::string& name) { format = names.at(name); },
          "agcm (default), or c2sp: C2SP chunked encryption")
      ->check(CLI::IsMember(names).description(""))
      ->type_name("agcm|c2sp");
}

void forbid_core_files() {
  // 1, not 0: that value also keeps the kernel from piping the core to a helper program.
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max == 0 ? 0 : 1;
  ::setrlimit(RLIMIT_CORE, &limit);
}

}  // namespace sluice::tools

#include "key_options.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <map>
#include <stdexcept>
#include <system_error>

#include "quiet_terminal.hpp"
#include "sluice/base/descriptor.hpp"
#include "standard_streams.hpp"

namespace sluice::tools {

void PassphraseOption::add_to(CLI::App& command) {
  command
      .add_option("--passphrase-file", file_,
                  "Read the passphrase from this file's first line, not the terminal")
      ->type_name("FILE");
}

std::string PassphraseOption::ask(const std::string& what, bool confirm) const {
  if (given()) {
    const Descriptor fd(::open(file_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) throw std::system_error(errno, std::system_category(), "open " + file_);
    return read_passphrase(fd.get(), file_);
  }
  QuietTerminal terminal;
  auto passphrase = terminal.ask("Passphrase for " + what);
  if (confirm) {
    auto again = terminal.ask("Again");
    const bool same = again == passphrase;
    ::explicit_bzero(again.data(), again.size());
    if (!same) throw std::runtime_error("the two passphrases differ");
  }
  return passphrase;
}

crypto::SecretKey load_key(const std::string& path, const PassphraseOption& passphrase) {
  forbid_core_files();
  auto key = crypto::load_key_file(path, [&] { return passphrase.ask(path); });
  if (!key.locked()) {
    say("sluice: note: the key's memory can't be locked (see ulimit -l); it may be swapped out\n");
  }
  return key;
}

void ContextOption::add_to(CLI::App& command) {
  auto* text = command.add_option("--context", text_, "What the data is for; the same is needed to open it");
  auto* hex = command.add_option("--context-hex", hex_, "The same, any bytes, as hexadecimal digits");
  hex->excludes(text);
  hex->check([](const std::string& digits) {
    const bool good =
        digits.size() % 2 == 0 && digits.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    return good ? std::string() : std::string("expected an even number of hexadecimal digits");
  });
}

std::string ContextOption::value() const {
  if (hex_.empty()) return text_;
  std::string bytes;
  for (std::size_t i = 0; i < hex_.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex_.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

void add_format_option(CLI::App& command, crypto::Format& format) {
  static const std::map<std::string, crypto::Format> names{{"agcm", crypto::Format::agcm},
                                                           {"c2sp", crypto::Format::c2sp}};
  command
      .add_option_function<std::string>(
          "--format", [&format](const std::string& name) { format = names.at(name); },
          "agcm (default), or c2sp: C2SP chunked encryption, Cobblestone-256")
      ->check(CLI::IsMember(names).description(""))
      ->type_name("agcm|c2sp");
}

void add_workers_option(CLI::App& command, unsigned& workers) {
  command.add_option("--workers", workers, "Threads that encrypt or decrypt (default 1)")
      ->check(CLI::Range(1U, 256U))
      ->type_name("N");
}

void forbid_core_files() {
  // 1, not 0: that value also keeps the kernel from piping the core to a helper program.
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max == 0 ? 0 : 1;
  ::setrlimit(RLIMIT_CORE, &limit);
}

}  // namespace sluice::tools

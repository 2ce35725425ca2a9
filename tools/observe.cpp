// sluice observe: the values of another program's state, as lines of JSON, or as a view that is redrawn.
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "commands.hpp"
#include "console.hpp"
#include "json_text.hpp"
#include "peer_command.hpp"
#include "sluice/base/detail/file_io.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/any_value.hpp"
#include "sluice/codec/filter.hpp"
#include "sluice/codec/observed.hpp"
#include "sluice/ipc/checkpoint/checkpoint.hpp"

namespace sluice::tools {
namespace {

struct ObserveArguments : PeerArguments {
  std::string state;
  std::string filter;
  std::string resume;
  std::uint64_t count = 0;
  bool lines = false;
  bool delta = false;
};

/// Where a stream goes on, between two runs of the command.
class ResumeFile {
 public:
  explicit ResumeFile(const std::filesystem::path& path)
      : storage_(path.has_parent_path() ? path.parent_path() : "."), key_(path.filename().string()) {}

  std::optional<StreamCheckpoint> load() const {
    const LoadedCheckpoint loaded = storage_.load(key_);
    if (loaded.state == CheckpointState::expired) note("the checkpoint has expired: beginning anew");
    if (loaded.state != CheckpointState::found) return std::nullopt;
    return loaded.checkpoint;
  }
  void store(const StreamCheckpoint& checkpoint) { storage_.store(key_, checkpoint); }

 private:
  FileCheckpoints storage_;
  std::string key_;
};

/// On a terminal: the value, indented, in place of the one before.
class View {
 public:
  void show(const nlohmann::json& value) {
    winsize size{};
    const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1 && size.ws_col > 1;
    const std::size_t rows = known ? size.ws_row - 1U : 23U;
    const std::size_t columns = known ? size.ws_col : 80U;
    std::string text = "\x1b[H\x1b[2J";  // home, clear
    std::istringstream lines(value.dump(2, ' ', true));
    std::size_t row = 0;
    for (std::string line; std::getline(lines, line) && row < rows; ++row) {
      if (line.size() > columns) line = line.substr(0, columns - 3) + "...";
      text += line + "\n";
    }
    base::write_all(STDOUT_FILENO, std::as_bytes(std::span(text)), "standard output");
  }
};

void say_verdict(const codec::Verdict& verdict) {
  std::string text(to_string(verdict.kind));
  if (verdict.kind == codec::StreamVerdict::gap)
    text += ": items " + std::to_string(verdict.first) + " to " + std::to_string(verdict.last) + " are lost";
  if (verdict.kind == codec::StreamVerdict::resumed)
    text += ": " + std::to_string(verdict.last + 1 - verdict.first) + " items were missed";
  note(text);
}

codec::Observed<codec::AnyValue> begin(codec::Peer& peer, const ObserveArguments& arguments,
                                       const std::optional<StreamCheckpoint>& last) {
  if (last) {
    const auto before = codec::ObserveOptions::resumption(*last);
    if (before.actor != arguments.actor || before.state != arguments.state) {
      throw std::runtime_error("the checkpoint is that of " + base::quoted_text(before.actor) + " " +
                               base::quoted_text(before.state) + ", not of what is to be observed");
    }
    return peer.resume<codec::AnyValue>(*last);
  }
  codec::ObserveOptions options;
  if (!arguments.filter.empty()) options.filter = codec::Filter::parse(arguments.filter);
  options.delta = arguments.delta;
  return peer.observe<codec::AnyValue>(arguments.actor, arguments.state, options);
}

void run_observe(const ObserveArguments& arguments) {
  std::optional<ResumeFile> file;
  std::optional<StreamCheckpoint> last;
  if (!arguments.resume.empty()) {
    file.emplace(arguments.resume);
    last = file->load();
  }
  codec::Peer peer = connect_peer(arguments, last ? last->session : codec::Id{});
  auto stream = begin(peer, arguments, last);
  const bool redraws = !arguments.lines && ::isatty(STDOUT_FILENO) != 0;
  View view;
  bool told = !last.has_value();
  for (std::uint64_t shown = 0; arguments.count == 0 || shown < arguments.count; ++shown) {
    const codec::AnyValue* const value = stream.next();
    if (!told && stream.verdict()) {
      say_verdict(*stream.verdict());
      told = true;
    }
    if (value == nullptr) break;
    const auto json = json_of(value->root());
    if (redraws) {
      view.show(json);
    } else {
      print_json(json);
    }
    if (file) file->store(stream.checkpoint());
  }
  if (file) stream.leave();
  if (stream.status() == Status::ok) return;
  if (stream.status() == Status::closed && stream.end_reason() != codec::StreamEnd::error) {
    note("the stream has ended: " + std::string(to_string(stream.end_reason())));
    return;
  }
  const std::string text = stream.failure_text();
  throw std::runtime_error("the stream has ended: " +
                           (text.empty() ? std::string(to_string(stream.status())) : text));
}

}  // namespace

void add_observe(CLI::App& app) {
  auto arguments = std::make_shared<ObserveArguments>();
  auto* command = add_command(app, "observe", "Show a state of another program, and each change, as JSON",
                              "sluice observe todos todos list --filter 'rate_limit per_second=2'");
  arguments->add_to(*command);
  command->add_option("STATE", arguments->state, "What to observe")->required();
  command->add_option("-f,--filter", arguments->filter, "Which values to send (docs/formats/filters.md)");
  command->add_flag("--delta", arguments->delta, "Have changes sent as deltas");
  command->add_option("-n,--count", arguments->count, "End after so many values");
  command->add_flag("-l,--lines", arguments->lines, "Lines of JSON, also on a terminal");
  command->add_option("-r,--resume", arguments->resume,
                      "Go on where the last run ended: kept in FILE.checkpoint");
  command->callback([arguments] { run_observe(*arguments); });
}

}  // namespace sluice::tools

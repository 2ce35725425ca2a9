// sluice call: one call to a method of another program, with JSON there and back.
#include "sluice/codec/call.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "commands.hpp"
#include "json_text.hpp"
#include "peer_command.hpp"
#include "sluice/base/deadline.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/any_value.hpp"

namespace sluice::tools {
namespace {

struct CallArguments : PeerArguments {
  std::string method;
  std::vector<std::string> json;
  bool one_way = false;
};

codec::AnyValue value_of(const std::string& text) {
  return codec::AnyValue(std::make_shared<const codec::PackedValue>(packed_of(parse_json(text))));
}

void run_call(const CallArguments& arguments) {
  codec::PackedArguments values;
  for (const auto& text : arguments.json) {
    try {
      values.values.push_back(value_of(text));
    } catch (const std::exception& wrong) {
      throw std::runtime_error("argument " + std::to_string(values.values.size() + 1) + ": " + wrong.what());
    }
  }
  codec::Peer peer = connect_peer(arguments);
  if (arguments.one_way) return peer.send(arguments.actor, arguments.method, values);
  const codec::CallOptions options{.timeout = arguments.timeout};
  try {
    print_json(
        json_of(peer.call<codec::AnyValue>(options, arguments.actor, arguments.method, values).root()));
  } catch (const codec::RemoteError& refused) {
    throw std::runtime_error(std::string(to_string(refused.remote_code())) + ": " + refused.detail());
  }
}

}  // namespace

void add_call(CLI::App& app) {
  auto arguments = std::make_shared<CallArguments>();
  auto* command = add_command(app, "call", "Call a method of another program, and print the answer as JSON",
                              R"(sluice call todos todos add '"buy milk"')");
  arguments->add_to(*command);
  command->add_option("METHOD", arguments->method, "What to call")->required();
  command->add_option("JSON", arguments->json, "The arguments, each a JSON value");
  command->add_flag("--one-way", arguments->one_way, "Ask for no answer");
  command->callback([arguments] { run_call(*arguments); });
}

}  // namespace sluice::tools

// A list of things to do that survives kill -9: the server keeps it in a sealed file, and streams it to whoever looks.
//
//   build/release/bin/todos serve DIRECTORY &     (kill -9 it, and start it again: the list is the same)
//   build/release/bin/todos add "buy milk"        expected output:   1 to do
//   build/release/bin/todos done 1                                   0 to do
//   build/release/bin/todos watch                 (each change comes as a delta; until the server ends)
//   build/release/bin/todos urgent                (only changes of a list that isn't empty)
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <list>
#include <sluice/codec.hpp>
#include <sluice/codec/sealed/sealed_state_store.hpp>
#include <sluice/crypto.hpp>
#include <sluice/ipc.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace codec = sluice::codec;
namespace crypto = sluice::crypto;

struct Todo {
  std::uint64_t number = 0;
  std::string text;
  MSGPACK_DEFINE_MAP(number, text)
};
struct Todos {
  std::uint64_t next_number = 1;
  std::vector<Todo> open;
  MSGPACK_DEFINE_MAP(next_number, open)
};

void serve(const std::string& directory) {
  const std::string key_file = directory + "/key";
  if (!std::filesystem::exists(key_file)) crypto::save_key_file(key_file, crypto::SecretKey::generate());
  codec::SealedStateStore store(directory, crypto::load_key_file(key_file));
  codec::StatefulActor<Todos> todos(store, "todos");  // loaded here, saved with each update

  codec::Registry registry;
  registry.actor("todos")
      .state("list", todos.state())
      .method("add",
              [&](const std::string& text) {
                todos.update([&](Todos& list) { list.open.push_back({list.next_number++, text}); });
                return todos.get().open.size();  // the item is on disk before the answer is sent
              })
      .method("done", [&](std::uint64_t number) {
        todos.update([&](Todos& list) {
          std::erase_if(list.open, [&](auto& todo) { return todo.number == number; });
        });
        return todos.get().open.size();
      });

  sluice::Listener listener = sluice::listen("todos");
  std::list<codec::Peer> clients;
  for (;;) {
    clients.emplace_back(listener.accept(), codec::PeerOptions{.registry = &registry});
    clients.back().start();
    std::erase_if(clients, [](const codec::Peer& client) { return !client.is_open(); });
  }
}

void change(std::string_view method, const auto& argument) {
  codec::Peer server(sluice::connect("todos"));
  std::printf("%zu to do\n", server.call<std::size_t>("todos", method, argument));
}

void watch(const codec::ObserveOptions& options) {
  codec::Peer server(sluice::connect("todos"));
  for (const Todos& todos : server.observe<Todos>("todos", "list", options)) {
    std::printf("%zu to do:", todos.open.size());
    for (const Todo& todo : todos.open)
      std::printf(" %llu. %s", static_cast<unsigned long long>(todo.number), todo.text.c_str());
    std::printf("\n");
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view role = argc >= 2 ? argv[1] : "";
  const std::string argument = argc == 3 ? argv[2] : "";
  try {
    if (role == "serve" && argc == 3) return serve(argument), 0;
    if (role == "add" && argc == 3) return change("add", argument), 0;
    if (role == "done" && argc == 3) return change("done", std::strtoull(argument.c_str(), nullptr, 10)), 0;
    if (role == "watch") return watch({.delta = true}), 0;
    if (role == "urgent")
      return watch({.filter = codec::Filter::parse("changed and non_empty field=open")}), 0;
    std::fprintf(stderr, "usage: todos serve DIRECTORY | add TEXT | done NUMBER | watch | urgent\n");
    return 2;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "todos: %s\n", failure.what());
    return 1;
  }
}

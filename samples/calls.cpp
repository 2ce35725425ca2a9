// Calls both ways over one port: the client asks the server to count words, and while it does, the server asks the
// client how to treat each language.
//
//   build/release/bin/calls serve &     expected output:   served 2 calls
//   build/release/bin/calls call                           5 words
//                                                          the server: text "" has no words
#include <cstddef>
#include <cstdio>
#include <exception>
#include <sluice/codec.hpp>
#include <sluice/ipc.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

namespace codec = sluice::codec;

std::size_t words_of(const std::string& text, char separator) {
  std::size_t words = 0;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, separator);) words += word.empty() ? 0U : 1U;
  return words;
}

bool serve() {
  codec::Registry registry;
  codec::Peer peer(sluice::listen("calls").accept(), {.registry = &registry});
  int served = 0;
  registry.actor("text").method("words", [&](const std::string& text, const std::string& language) {
    ++served;
    if (text.empty()) throw std::runtime_error("text \"\" has no words");  // the caller gets this as an error
    return words_of(text, peer.call<char>("languages", "separator", language));
  });
  const sluice::Status why = peer.run();  // on this thread, until the client closes
  std::printf("served %d calls\n", served);
  return why == sluice::Status::closed;
}

void call() {
  codec::Registry registry;
  registry.actor("languages").method("separator", [](const std::string& language) {
    return language == "url" ? '/' : ' ';
  });
  codec::Peer peer(sluice::connect("calls"), {.registry = &registry});
  // Runs the peer while it waits, so the server's question is answered here.
  std::printf("%zu words\n", peer.call<std::size_t>("text", "words", "how/many/words/are/these", "url"));
  try {
    peer.call<std::size_t>("text", "words", "", "English");
  } catch (const codec::RemoteError& refused) {
    std::printf("the server: %s\n", refused.detail().c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view role = argc == 2 ? argv[1] : "";
  try {
    if (role == "serve") return serve() ? 0 : 1;
    if (role == "call") return call(), 0;
    std::fprintf(stderr, "usage: calls serve | call\n");
    return 2;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "calls: %s\n", failure.what());
    return 1;
  }
}

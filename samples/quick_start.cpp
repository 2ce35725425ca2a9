// Quick start: two processes that talk. The README shows the part between the markers.
//
//   build/release/bin/quick_start serve &      expected output:   the server says: HELLO
//   build/release/bin/quick_start ask                             the client: closed
#include <exception>
#include <string_view>

// [quick start]
#include <algorithm>
#include <cctype>
#include <iostream>
#include <sluice/ipc.hpp>
#include <string>

// One process listens, and answers in a handler until the other side closes or dies.
void serve() {
  sluice::Port port = sluice::listen("quick-start").accept();
  port.on_message([&](std::string_view question) {
    std::string answer(question);
    std::ranges::transform(answer, answer.begin(), [](unsigned char c) { return std::toupper(c); });
    if (port.post_message(answer) != sluice::Status::ok) port.close();
  });
  std::cout << "the client: " << to_string(port.run()) << "\n";
}

// The other connects, waiting for the listener if it has to, posts, and takes the answer by a call.
void ask() {
  sluice::Port port = sluice::connect("quick-start");
  if (port.post_message("hello") != sluice::Status::ok) return;
  if (sluice::Message answer = port.receive()) std::cout << "the server says: " << answer.text() << "\n";
}
// [quick start end]

int main(int argc, char** argv) {
  const std::string_view role = argc == 2 ? argv[1] : "";
  try {
    if (role == "serve") {
      serve();
    } else if (role == "ask") {
      ask();
    } else {
      std::cerr << "usage: quick_start serve | ask\n";
      return 2;
    }
    return 0;
  } catch (const std::exception& failure) {
    std::cerr << "quick_start: " << failure.what() << "\n";
    return 1;
  }
}

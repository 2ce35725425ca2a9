// Quick start: two processes that talk. The README shows the part between the markers.
//
//   build/release/bin/quick_start serve &      expected output:   the server says: HELLO
//   build/release/bin/quick_start ask                             the client: closed
#include <exception>
#include <string_view>

// [quick start]
#include <algorithm>
#include <cctype>
#include <future>
#include <iostream>
#include <sluice/ipc/connect/endpoint.hpp>
#include <span>
#include <string>

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// One process listens, and answers in a handler until the other side closes or dies.
void serve() {
  sluice::Listener listener = sluice::listen("quick-start");
  sluice::Port port = listener.accept();
  std::promise<sluice::Status> ended;
  port.on_message([&](std::span<const std::byte> question) {
    std::string answer = text_of(question);
    std::ranges::transform(answer, answer.begin(), [](unsigned char c) { return std::toupper(c); });
    if (port.post_message(std::as_bytes(std::span(answer))) != sluice::Status::ok) port.close();
  });
  port.on_close([&](sluice::Status reason) { ended.set_value(reason); });
  port.start();
  std::cout << "the client: " << to_string(ended.get_future().get()) << "\n";
}

// The other connects, waiting for the listener if it has to, posts, and takes the answer by a call.
void ask() {
  sluice::Port port = sluice::connect("quick-start");
  const std::string question = "hello";
  if (port.post_message(std::as_bytes(std::span(question))) != sluice::Status::ok) return;
  if (sluice::Message answer = port.receive()) {
    std::cout << "the server says: " << text_of(answer.bytes()) << "\n";
  }
  port.close();
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

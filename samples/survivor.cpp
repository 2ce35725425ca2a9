// A session that survives kill -9. The worker adds up numbers; kill it and start it again as often as you
// like: it goes on at the next number, and the sum is right.
//
//   build/release/bin/survivor work &        (kill -9 it, and run it again)
//   build/release/bin/survivor feed 100      expected output:   sum of 1 to 100: 5050, expected 5050
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <sluice/ipc.hpp>
#include <string>
#include <string_view>
#include <thread>

namespace {

using Number = std::uint64_t;

// The side that lives on: posts 1 to `last`, and takes a sum so far for each.
bool feed(Number last) {
  sluice::SessionOptions options;
  options.on_state = [](const sluice::SessionEvent& event) {
    std::fprintf(stderr, "the worker: %s\n", std::string(to_string(event.state)).c_str());
  };
  sluice::Port port = sluice::host_session("survivor", options);
  Number sum = 0;
  for (Number number = 1; number <= last; ++number) {
    if (sluice::post(port, number) != sluice::Status::ok) return false;  // waits while no worker is there
    const sluice::Message answer = port.receive();
    if (!answer) return false;
    sum = answer.as<Number>().value_or(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // so that there is time to kill the worker
  }
  std::printf("sum of 1 to %llu: %llu, expected %llu\n", static_cast<unsigned long long>(last),
              static_cast<unsigned long long>(sum), static_cast<unsigned long long>(last * (last + 1) / 2));
  return sum == last * (last + 1) / 2;
}

// The side that is killed. It keeps nothing: message k of the host holds k, so the sum before it is known. A
// message comes again if it wasn't released, and is answered again only if its answer wasn't posted.
bool work() {
  sluice::Port port = sluice::join_session("survivor");
  for (;;) {
    const sluice::Message message = port.receive();
    if (!message) return message.status() == sluice::Status::closed;
    if (message.sequence() < port.next_sequence()) continue;  // answered by the process before this one
    const Number before = (message.sequence() - 1) * message.sequence() / 2;
    if (sluice::post(port, before + message.as<Number>().value_or(0)) != sluice::Status::ok) return false;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view role = argc > 1 ? argv[1] : "";
  try {
    if (role == "work" && argc == 2) return work() ? 0 : 1;
    if (role == "feed" && argc == 3) return feed(std::strtoull(argv[2], nullptr, 10)) ? 0 : 1;
    std::fprintf(stderr, "usage: survivor work | feed COUNT\n");
    return 2;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "survivor: %s\n", failure.what());
    return 1;
  }
}

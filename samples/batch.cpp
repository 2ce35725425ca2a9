// A batch: messages appended one by one become visible together, for one publication and at most one wake-up.
//
//   build/release/bin/batch read &      expected output:   100000 ticks in 1000 batches, the last price 199.99
//   build/release/bin/batch write
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <sluice/ipc.hpp>
#include <span>
#include <string_view>

namespace {

struct Tick {
  std::uint64_t number;
  std::uint64_t batch;
  double price;
};

bool write() {
  sluice::Port port = sluice::connect("batch");
  std::uint64_t number = 0;
  for (std::uint64_t batch = 1; batch <= 1000; ++batch) {
    for (int i = 0; i < 100; ++i, ++number) {
      const Tick tick{number, batch, 100 + 0.01 * static_cast<double>(number % 10'000)};
      // Stays unseen until publish(). If the ring is full this publishes, and waits for room.
      if (port.append_message(std::as_bytes(std::span(&tick, 1))) != sluice::Status::ok) return false;
    }
    port.publish();
  }
  return true;
}

bool read() {
  sluice::Listener listener = sluice::listen("batch");
  sluice::Port port = listener.accept();
  std::uint64_t count = 0;
  Tick tick{};
  sluice::Status ended;
  for (;;) {
    const sluice::Message message = port.receive();  // a reader needn't know about batches
    ended = message.status();
    if (!message) break;
    tick = message.as<Tick>().value_or(Tick{});  // nothing if it isn't the size of a tick
    if (tick.number != count++ || tick.batch == 0) return false;
  }
  std::printf("%llu ticks in %llu batches, the last price %.2f\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(tick.batch), tick.price);
  return ended == sluice::Status::closed;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view role = argc == 2 ? argv[1] : "";
  try {
    if (role == "write") return write() ? 0 : 1;
    if (role == "read") return read() ? 0 : 1;
    std::fprintf(stderr, "usage: batch read | write\n");
    return 2;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "batch: %s\n", failure.what());
    return 1;
  }
}

// A whole stream over a port, with backpressure: the sender is never further ahead than the receiver allows,
// and both learn how it ended.
//
//   build/release/bin/port_stream receive copy &     expected output:   received N bytes in M blocks
//   build/release/bin/port_stream send FILE                             sent N bytes, all of them consumed
#include <cstdio>
#include <exception>
#include <fstream>
#include <sluice/ipc.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

void send(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("can't read " + path);
  sluice::Port port = sluice::connect("port-stream");
  sluice::PortStream stream = sluice::create_port_stream(port);
  const sluice::StreamTotals totals = stream.send(file);  // returns when the receiver has consumed everything
  std::printf("sent %llu bytes, all of them consumed\n", static_cast<unsigned long long>(totals.bytes));
}

void receive(const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  sluice::Listener listener = sluice::listen("port-stream");
  sluice::Port port = listener.accept();
  sluice::PortStream stream = sluice::create_port_stream(port);
  for (std::span<const std::byte> block : stream.receive()) {
    // Coming back for the next block acknowledges this one; an exception refuses it, and the sender is told.
    if (!file.write(reinterpret_cast<const char*>(block.data()), static_cast<std::streamsize>(block.size())))
      throw std::runtime_error("can't write " + path);
  }
  const sluice::StreamTotals totals = stream.receive_progress();
  std::printf("received %llu bytes in %llu blocks\n", static_cast<unsigned long long>(totals.bytes),
              static_cast<unsigned long long>(totals.blocks));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view role = argc == 3 ? argv[1] : "";
  try {
    if (role == "send") {
      send(argv[2]);
    } else if (role == "receive") {
      receive(argv[2]);
    } else {
      std::fprintf(stderr, "usage: port_stream send FILE | receive FILE\n");
      return 2;
    }
    return 0;
  } catch (const std::exception& failure) {  // also StreamError: why the stream didn't complete
    std::fprintf(stderr, "port_stream: %s\n", failure.what());
    return 1;
  }
}

// Calls an empty method, both sides on one thread: a program whose instructions can be counted.
//
//   call_and_serve CALLS
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "driving_port.hpp"
#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto calls = std::strtoull(argv[1], nullptr, 10);
  auto [near, far] = sluice::make_port_pair();
  sluice::codec::Registry registry;
  std::uint64_t called = 0;
  registry.actor("bench").method("empty", [&] { ++called; });
  sluice::codec::Peer server(std::move(far), sluice::codec::PeerOptions{.registry = &registry});
  sluice::codec::Peer caller(sluice::test::DrivingPort(std::move(near), [&] { (void)server.run_once(); }));
  for (std::uint64_t i = 0; i < calls; ++i) caller.call("bench", "empty");
  return called == calls ? 0 : 1;
}

// What can only be arranged with a peer's inside.
#include "live_peer.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "registry_state.hpp"
#include "sluice/codec.hpp"
#include "sluice/ipc.hpp"

namespace sluice {
namespace {

TEST(LivePeer, CallsAgainForWhatArrivesBehindTheLastLookOfACallback) {
  auto ports = make_port_pair();
  codec::Registry registry;
  codec::ObservableState<int> state(1);
  registry.actor("counter").state("value", state);
  codec::Peer server(std::move(ports.first), codec::PeerOptions{.registry = &registry});
  const auto client = std::make_shared<codec::LivePeer>(
      AnyPort(std::move(ports.second)), codec::PeerOptions{},
      std::make_shared<codec::detail::RegistryState>(codec::RegistryOptions{}));
  client->open();
  const auto stream =
      client->observe(codec::ObserveOptions().start("counter", "value", codec::DeltaKind::generic));
  int calls = 0;
  client->call_on_arrival(stream, [&] {
    if (++calls == 1) {  // it has looked, and nothing was there; now the value comes, and isn't called for
      ASSERT_EQ(server.poll(), Status::ok);
      ASSERT_EQ(client->poll(), Status::ok);
      ASSERT_FALSE(stream->arrived.empty());
    } else {
      stream->arrived.clear();
    }
  });
  EXPECT_EQ(calls, 2);
  client->shut_down();
}

}  // namespace
}  // namespace sluice

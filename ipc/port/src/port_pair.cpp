#include "sluice/ipc/port/port_pair.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <utility>

#include "port_impl.hpp"
#include "port_regions.hpp"

namespace sluice {
namespace {

std::shared_ptr<const ring::PeerRegion> see(const ring::OwnedRegion& region) {
  Descriptor copy(::fcntl(region.descriptor(), F_DUPFD_CLOEXEC, 0));
  if (!copy) throw_errno("duplicating a region's descriptor");
  const ring::RegionHeader& header = region.view().header;
  return std::make_shared<const ring::PeerRegion>(
      ring::PeerRegion::open(std::move(copy), header.session, header.epoch));
}

}  // namespace

std::pair<Port, Port> make_port_pair(const PortOptions& first, const PortOptions& second) {
  ipc::check_port_options(first);
  ipc::check_port_options(second);
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
    throw_errno("socketpair for two connected ports");
  base::PeerSocket first_socket{Descriptor(ends[0])};
  base::PeerSocket second_socket{Descriptor(ends[1])};
  const SessionInfo session = ipc::new_session();
  ring::OwnedRegion first_region = ring::OwnedRegion::create(ipc::region_options(first, session));
  ring::OwnedRegion second_region = ring::OwnedRegion::create(ipc::region_options(second, session));
  auto seen_by_first = see(second_region);
  auto seen_by_second = see(first_region);
  const PeerIdentity self{::getpid(), ::geteuid(), ::getegid()};
  return {
      ipc::make_port({std::move(first_region), std::move(seen_by_first), std::move(first_socket), {}, self},
                     first),
      ipc::make_port(
          {std::move(second_region), std::move(seen_by_second), std::move(second_socket), {}, self}, second)};
}

}  // namespace sluice

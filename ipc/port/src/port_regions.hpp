// The regions of a port: what its options make of them, and what is accepted as the beginning of a peer's.
#pragma once

#include <cstdint>

#include "sluice/ipc/port/port.hpp"
#include "sluice/ipc/port/port_options.hpp"
#include "sluice/ring/region.hpp"

namespace sluice::ipc {

/// Throws errc::bad_option for options that can't make a port.
void check_port_options(const PortOptions& options);

/// A random id, and the first epoch.
SessionInfo new_session();

/// Of a region whose ring is at its beginning.
ring::RegionOptions region_options(const PortOptions& options, const SessionInfo& session);

/// Throws ring::errc::bad_region unless the ring is at its beginning.
void check_new_ring(const ring::RegionHeader& header);

}  // namespace sluice::ipc

// Everything that two processes need to talk: connections, sessions, ports, port streams, checkpoints. Link
// sluice::ipc. Programs that care about the time to compile include the parts that they use.
#pragma once

#include "sluice/base/error.hpp"                 // IWYU pragma: export
#include "sluice/ipc/checkpoint/checkpoint.hpp"  // IWYU pragma: export
#include "sluice/ipc/connect/endpoint.hpp"       // IWYU pragma: export
#include "sluice/ipc/connect/session.hpp"        // IWYU pragma: export
#include "sluice/ipc/port/any_port.hpp"          // IWYU pragma: export
#include "sluice/ipc/port/native_port.hpp"       // IWYU pragma: export
#include "sluice/ipc/port/port.hpp"              // IWYU pragma: export
#include "sluice/ipc/port/port_pair.hpp"         // IWYU pragma: export
#include "sluice/ipc/stream/block_source.hpp"    // IWYU pragma: export
#include "sluice/ipc/stream/port_stream.hpp"     // IWYU pragma: export
#include "sluice/ipc/stream/stream_error.hpp"    // IWYU pragma: export

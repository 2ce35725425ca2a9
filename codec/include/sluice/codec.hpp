// Everything of the codec room: typed messages over any port.
#pragma once

#include "sluice/codec/call.hpp"
#include "sluice/codec/decode_options.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/error.hpp"
#include "sluice/codec/frame.hpp"
#include "sluice/codec/object_tree.hpp"
#include "sluice/codec/observable_state.hpp"
#include "sluice/codec/observe_options.hpp"
#include "sluice/codec/observed.hpp"
#include "sluice/codec/packed_value.hpp"
#include "sluice/codec/peer.hpp"
#include "sluice/codec/registry.hpp"
#include "sluice/codec/reply.hpp"
#include "sluice/codec/timestamp.hpp"
#include "sluice/codec/typed_port.hpp"
#include "sluice/codec/variant.hpp"

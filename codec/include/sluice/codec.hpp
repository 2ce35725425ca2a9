// Everything of the codec room: typed messages over any port.
#pragma once

#include "sluice/codec/decode_options.hpp"
#include "sluice/codec/decoder.hpp"
#include "sluice/codec/error.hpp"
#include "sluice/codec/object_tree.hpp"
#include "sluice/codec/packed_value.hpp"
#include "sluice/codec/timestamp.hpp"
#include "sluice/codec/typed_port.hpp"
#include "sluice/codec/variant.hpp"

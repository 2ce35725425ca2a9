// Everything of the ring room: shared-memory regions, the byte ring between two processes, waiting.
#pragma once

#include "sluice/base.hpp"
#include "sluice/ring/consumer.hpp"
#include "sluice/ring/error.hpp"
#include "sluice/ring/failure.hpp"
#include "sluice/ring/history.hpp"
#include "sluice/ring/layout.hpp"
#include "sluice/ring/producer.hpp"
#include "sluice/ring/region.hpp"
#include "sluice/ring/waiting.hpp"

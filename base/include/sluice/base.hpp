// Everything of the base room: errors, status, deadlines, descriptors, files that appear as a whole.
#pragma once

#include "sluice/base/atomic_file.hpp"
#include "sluice/base/deadline.hpp"
#include "sluice/base/descriptor.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/status.hpp"

#pragma once
// The GPU that the tests run on: a real one, or the host layer.
#include "host/host_layer.h"

#include <retrace/core/device.h>

#include <optional>
#include <vector>

namespace retrace::test {

/// The first GPU; where there is none the running case is skipped.
std::optional<Device> gpu_or_skip();

/// The orders of threads to run a kernel in; a real GPU has one of its own.
const std::vector<gpu_host::Order>& thread_orders();

}  // namespace retrace::test

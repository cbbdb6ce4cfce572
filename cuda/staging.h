#pragma once
// Internal: uploads that the host does not wait for.
#include <retrace/core/device.h>
#include <retrace/core/staging.h>

#include <memory>

namespace retrace::cuda {

std::unique_ptr<Staging> make_staging(Device device, std::int64_t bytes);

}  // namespace retrace::cuda

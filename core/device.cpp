#include <retrace/core/device.h>

#include <ostream>

namespace retrace {

std::string to_string(Device device) {
  return device.kind() == DeviceKind::cpu ? "cpu" : "cuda:" + std::to_string(device.index());
}

std::ostream& operator<<(std::ostream& out, Device device) { return out << to_string(device); }

}  // namespace retrace

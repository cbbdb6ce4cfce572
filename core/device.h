#pragma once
#include <cstdint>
#include <iosfwd>
#include <string>

namespace retrace {

class Device;
namespace cuda {
Device device(int index);  // cuda/device.h
}

/// Kinds of device; a Kernel has one function for each.
enum class DeviceKind : std::uint8_t { cpu, cuda };
inline constexpr int kDeviceKinds = 2;

/// Where a tensor's bytes are. A small value; by default the CPU. A GPU is what cuda::device gives.
class Device {
 public:
  constexpr Device() = default;
  static constexpr Device cpu() { return Device(); }

  constexpr DeviceKind kind() const { return kind_; }
  constexpr int index() const { return index_; }
  constexpr bool operator==(const Device&) const = default;

 private:
  friend Device cuda::device(int index);
  constexpr Device(DeviceKind kind, int index) : kind_(kind), index_(static_cast<std::int16_t>(index)) {}

  DeviceKind kind_ = DeviceKind::cpu;
  std::int16_t index_ = 0;
};

/// `cpu`, `cuda:0`.
std::string to_string(Device device);
std::ostream& operator<<(std::ostream& out, Device device);

}  // namespace retrace

#pragma once
#include <cstdint>
#include <iosfwd>
#include <string>

namespace retrace {

class Device;
namespace cuda {
/// The GPU with that number: see cuda/device.h.
Device device(int index);  // cuda/device.h
}  // namespace cuda

/// Kinds of device; a Kernel has one function for each.
enum class DeviceKind : std::uint8_t {
  cpu,  ///< the machine's own memory
  cuda  ///< an NVIDIA GPU
};
inline constexpr int kDeviceKinds = 2;  ///< how many kinds there are

/// Where a tensor's bytes are. A small value; by default the CPU. A GPU is what cuda::device gives.
class Device {
 public:
  constexpr Device() = default;
  static constexpr Device cpu() { return Device(); }  ///< the CPU

  constexpr DeviceKind kind() const { return kind_; }        ///< what kind of device this is
  constexpr int index() const { return index_; }             ///< which one of its kind, from 0
  constexpr bool operator==(const Device&) const = default;  ///< the same kind and the same index

 private:
  friend Device cuda::device(int index);
  constexpr Device(DeviceKind kind, int index) : kind_(kind), index_(static_cast<std::int16_t>(index)) {}

  DeviceKind kind_ = DeviceKind::cpu;
  std::int16_t index_ = 0;
};

/// `cpu`, `cuda:0`.
std::string to_string(Device device);
/// Writes to_string(device).
std::ostream& operator<<(std::ostream& out, Device device);

}  // namespace retrace

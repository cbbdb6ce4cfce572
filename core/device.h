#pragma once
#include <cstdint>

namespace retrace {

/// Kinds of device; a Kernel has one function for each. `cuda` is reserved for the GPU backend.
enum class DeviceKind : std::uint8_t { cpu, cuda };
inline constexpr int kDeviceKinds = 2;

/// Where a tensor's bytes are. A small value; by default the CPU.
class Device {
 public:
  constexpr Device() = default;
  static constexpr Device cpu() { return Device(); }

  constexpr DeviceKind kind() const { return kind_; }
  constexpr int index() const { return index_; }
  constexpr bool operator==(const Device&) const = default;

 private:
  DeviceKind kind_ = DeviceKind::cpu;
  std::int16_t index_ = 0;
};

}  // namespace retrace

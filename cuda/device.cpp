#include <retrace/core/fail.h>
#include <retrace/cuda/device.h>
#include <retrace/cuda/install.h>

#include <charconv>
#include <chrono>

namespace retrace::cuda {

Device device_from_name(std::string_view name) {
  if (name == "cpu") return Device::cpu();
  if (name == "cuda") return device(0);
  constexpr std::string_view kPrefix = "cuda:";
  if (name.starts_with(kPrefix)) {
    const std::string_view number = name.substr(kPrefix.size());
    int index = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), index);
    if (error == std::errc() && end == number.data() + number.size()) return device(index);
  }
  fail<ArgumentError>("device", "the name must be cpu, cuda or cuda:N, got '{}'", name);
}

double seconds_of(Device device, const std::function<void()>& work) {
  if (device.kind() == DeviceKind::cuda) return seconds_by_events(device, work);
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace retrace::cuda

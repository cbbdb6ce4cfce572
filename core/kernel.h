#pragma once
#include <retrace/core/tensor.h>

#include <array>
#include <tuple>
#include <type_traits>

namespace retrace {

namespace detail {
/// Throws the DeviceError of tensors that are on two devices.
[[noreturn]] void fail_two_devices(Device first, Device other);
/// Throws the NotImplementedError of the running operation, which has no function for this device.
[[noreturn]] void fail_no_kernel(Device device);
}  // namespace detail

template <class Signature>
class Kernel;

/// One operation on raw tensors, which are on one device: a function for each kind of device.
///
/// Kernels write into tensors that the caller allocated and never allocate a result; some return numbers that
/// the caller needs at once, for which a GPU is waited for. The constructor is consteval and takes the CPU's
/// function, so a kernel without one does not link, and nothing depends on the order of static
/// initialisation.
template <class Result, class... Args>
class Kernel<Result(Args...)> {
 public:
  using Function = Result (*)(Args...);  ///< what computes on one kind of device

  /// With the CPU's function.
  explicit consteval Kernel(Function cpu) : functions_{cpu} {}

  /// Throws DeviceError for tensors on two devices, and NotImplementedError where it does not run on theirs.
  Result operator()(Args... args) const {
    const Device device = first_device(args...);
    (check_device(device, args), ...);
    const Function function = functions_[static_cast<std::size_t>(device.kind())];
    if (function == nullptr) detail::fail_no_kernel(device);
    return function(args...);
  }

  /// Sets the function for another kind of device.
  void install(DeviceKind kind, Function function) { functions_[static_cast<std::size_t>(kind)] = function; }

 private:
  template <class First, class... Rest>
  static Device first_device(const First& first, const Rest&... rest) {
    if constexpr (requires { first.device(); })
      return first.device();
    else
      return first_device(rest...);
  }
  template <class Arg>
  static void check_device(Device device, const Arg& arg) {
    if constexpr (std::is_same_v<Arg, Tensor>)
      if (arg.defined() && !(arg.device() == device)) detail::fail_two_devices(device, arg.device());
  }

  std::array<Function, kDeviceKinds> functions_;
};

}  // namespace retrace

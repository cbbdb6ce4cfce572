#pragma once
// Stacks of their own for the threads of a block, between which the program changes by hand.
#include <cstddef>
#include <memory>

namespace retrace::gpu_host {

/// Something that runs on a stack and can be left and continued.
class Fiber {
 public:
  /// The stack that the program is on.
  Fiber() = default;
  /// A new stack, on which `entry` runs when it is first changed to. It must not return.
  explicit Fiber(void (*entry)());
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Leaves this fiber, which runs, for another one; returns when somebody changes back.
  void change_to(Fiber& other);
  /// For `entry`, at its begin: whom it was changed to from.
  static void begin(Fiber& from);

 private:
  static constexpr std::size_t kStackBytes = std::size_t{128} << 10;

  void* stack_pointer_ = nullptr;
  std::unique_ptr<std::byte[]> stack_;
  // for AddressSanitizer
  [[maybe_unused]] const void* bottom_ = nullptr;
  [[maybe_unused]] std::size_t bytes_ = 0;
  [[maybe_unused]] void* fake_stack_ = nullptr;
};

}  // namespace retrace::gpu_host

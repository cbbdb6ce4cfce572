#include "fiber.h"

#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define RETRACE_FIBERS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#define RETRACE_FIBERS_ASAN 1
#endif
#endif

#ifndef __x86_64__
#error "the host layer changes stacks with instructions of x86-64: add those of this machine"
#endif

// Saves the registers that a call keeps, and the stack pointer; continues with another stack.
extern "C" void retrace_change_stack(void** save, void* next);
asm(R"(
.text
.globl retrace_change_stack
.type retrace_change_stack,@function
retrace_change_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size retrace_change_stack,.-retrace_change_stack
)");

namespace retrace::gpu_host {

Fiber::Fiber(void (*entry)())
    : stack_(std::make_unique_for_overwrite<std::byte[]>(kStackBytes)),
      bottom_(stack_.get()),
      bytes_(kStackBytes) {
  const auto top = reinterpret_cast<std::uintptr_t>(stack_.get() + kStackBytes) & ~std::uintptr_t{15};
  auto* at = reinterpret_cast<std::uintptr_t*>(top);
  *--at = 0;                                        // where entry would return to; aligns its stack
  *--at = reinterpret_cast<std::uintptr_t>(entry);  // where the change's `ret` goes
  for (int registers = 0; registers < 6; ++registers) *--at = 0;
  stack_pointer_ = at;
}

void Fiber::change_to(Fiber& other) {
#ifdef RETRACE_FIBERS_ASAN
  __sanitizer_start_switch_fiber(&fake_stack_, other.bottom_, other.bytes_);
#endif
  retrace_change_stack(&stack_pointer_, other.stack_pointer_);
#ifdef RETRACE_FIBERS_ASAN
  __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
#endif
}

void Fiber::begin([[maybe_unused]] Fiber& from) {
#ifdef RETRACE_FIBERS_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &from.bottom_, &from.bytes_);
#endif
}

}  // namespace retrace::gpu_host

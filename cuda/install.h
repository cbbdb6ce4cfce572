#pragma once
// Internal: what device.cpp asks of a build with CUDA. Each family's file sets its kernels.
#include <retrace/core/device.h>

#include <functional>

namespace retrace::cuda {

void install_activation();
void install_batch_norm();
void install_copy();
void install_elementwise();
void install_embedding();
void install_group_norm();
void install_loss();
void install_matmul();
void install_conv2d();
void install_optimizer();
void install_pool();
void install_random();
void install_reduce();
void install_softmax();

/// All of them.
void install_kernels();

/// `seconds_of` a GPU.
double seconds_by_events(Device device, const std::function<void()>& work);

}  // namespace retrace::cuda

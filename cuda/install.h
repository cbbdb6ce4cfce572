#pragma once
// Internal: each family's file sets its kernels.

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

}  // namespace retrace::cuda

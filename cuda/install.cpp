#include <retrace/cuda/install.h>

namespace retrace::cuda {

void install_kernels() {
  install_activation();
  install_batch_norm();
  install_conv2d();
  install_copy();
  install_elementwise();
  install_embedding();
  install_group_norm();
  install_loss();
  install_matmul();
  install_optimizer();
  install_pool();
  install_random();
  install_reduce();
  install_softmax();
}

}  // namespace retrace::cuda

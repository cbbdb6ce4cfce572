// A program of a user who has an installed retrace and perhaps a GPU.
#include <retrace/cuda/device.h>
#include <retrace/retrace.h>

#include <iostream>

using namespace retrace;

int main() {
  try {
    const Tensor x = Tensor::full({2}, 1.5, DType::f32, Tag::data, cuda::device_from_name("cuda"));
    std::cout << (x.to_vector<float>() == std::vector<float>{1.5F, 1.5F} ? "on the GPU" : "wrong") << '\n';
  } catch (const DeviceError& error) {
    std::cout << error.what() << '\n';
  }
}

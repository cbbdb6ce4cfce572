#include <retrace/cli/step_batches.h>
#include <retrace/core/fail.h>

#include <algorithm>

namespace retrace::cli {

const Tensor* find_tensor(const TensorFile& file, std::string_view name) {
  const auto found = std::find_if(file.tensors.begin(), file.tensors.end(),
                                  [&](const Named<Tensor>& tensor) { return tensor.first == name; });
  return found == file.tensors.end() ? nullptr : &found->second;
}

StepBatches::StepBatches(const std::filesystem::path& path, DType dtype, std::int64_t steps) {
  const TensorFile file = load_tensors(path);
  const auto take = [&](const char* name) {
    const Tensor* tensor = find_tensor(file, name);
    if (tensor == nullptr)
      fail<FormatError>("step", "{} must hold the tensors images and labels, but it lacks {}", path.string(),
                        name);
    return *tensor;
  };
  images_ = take("images");
  labels_ = take("labels");
  if ((images_.dtype() != DType::f32 && images_.dtype() != dtype) || labels_.dtype() != DType::i64)
    fail<FormatError>("step", "{} must hold images of f32 and labels of i64, got {} and {}", path.string(),
                      images_.dtype(), labels_.dtype());
  check_shapes(path);
  if (each_ && images_.shape()[0] < steps)
    fail<FormatError>("step", "{} must hold batches for {} steps, got {}", path.string(), steps,
                      images_.shape()[0]);
  images_ = images_.to(dtype, Tag::data);
}

Batch StepBatches::batch(std::int64_t number) const {
  return {.images = part(images_, number), .labels = part(labels_, number)};
}

void StepBatches::check_shapes(const std::filesystem::path& path) {
  const Shape& images = images_.shape();
  const Shape& labels = labels_.shape();
  each_ = images.rank() == 5;
  const int leading = each_ ? 2 : 1;  // dimensions that images and labels share
  const bool fit = images.rank() == leading + 3 && labels.rank() == leading &&
                   std::equal(labels.begin(), labels.end(), images.begin());
  if (!fit)
    fail<FormatError>("step",
                      "{} must hold images [N,C,H,W] and labels [N], or both with a leading dimension of "
                      "steps, got {} and {}",
                      path.string(), images, labels);
}

Tensor StepBatches::part(const Tensor& all, std::int64_t number) const {
  return each_ ? all.slice(number - 1, number).reshape(all.shape().without(0)) : all;
}

}  // namespace retrace::cli

#include <retrace/core/fail.h>
#include <retrace/nn/data/dataset.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace retrace {

namespace {

std::vector<std::string> numbered(std::int64_t classes) {
  std::vector<std::string> names;
  for (std::int64_t c = 0; c < classes; ++c) names.push_back(std::to_string(c));
  return names;
}

/// Exact sums of bytes, so that neither the order nor the number of images costs a digit.
struct Sums {
  std::uint64_t values = 0;
  std::uint64_t squares = 0;

  void add(std::span<const std::uint8_t> pixels) {
    for (const std::uint32_t pixel : pixels) {
      values += pixel;
      squares += pixel * pixel;
    }
  }
};

ChannelStatistics measure(const Dataset& data) {
  const Shape shape = data.image_shape();
  if (shape.rank() != 3) fail<ShapeError>("dataset", "images must be [C,H,W], got {}", shape);
  const auto plane = static_cast<std::size_t>(shape[1] * shape[2]);
  std::vector<std::uint8_t> image(static_cast<std::size_t>(shape.numel()));
  std::vector<Sums> sums(static_cast<std::size_t>(shape[0]));
  for (std::int64_t i = 0; i < data.size(); ++i) {
    data.copy_image(i, image);
    for (std::size_t c = 0; c < sums.size(); ++c) sums[c].add(std::span(image).subspan(c * plane, plane));
  }
  ChannelStatistics result;
  const double count = static_cast<double>(data.size()) * static_cast<double>(plane);
  for (const Sums& sum : sums) {
    const double mean = static_cast<double>(sum.values) / count;
    const double variance = static_cast<double>(sum.squares) / count - mean * mean;
    result.mean.push_back(mean / 255);
    result.stddev.push_back(std::sqrt(std::max(variance, 0.0)) / 255);
  }
  return result;
}

class Subset final : public Dataset {
 public:
  Subset(std::shared_ptr<const Dataset> data, std::int64_t n) : data_(std::move(data)), size_(n) {}

  std::int64_t size() const override { return size_; }
  Shape image_shape() const override { return data_->image_shape(); }
  std::int64_t classes() const override { return data_->classes(); }
  std::vector<std::string> class_names() const override { return data_->class_names(); }
  std::int64_t label(std::int64_t i) const override { return data_->label(checked(i)); }
  void copy_image(std::int64_t i, std::span<std::uint8_t> pixels) const override {
    data_->copy_image(checked(i), pixels);
  }

 private:
  std::int64_t checked(std::int64_t i) const {
    if (i < 0 || i >= size_)
      fail<ArgumentError>("subset", "the image's index must be in [0,{}), got {}", size_, i);
    return i;
  }

  std::shared_ptr<const Dataset> data_;
  std::int64_t size_;
};

}  // namespace

std::vector<std::string> Dataset::class_names() const { return numbered(classes()); }

const ChannelStatistics& Dataset::statistics() const {
  const std::lock_guard lock(mutex_);
  if (!statistics_) statistics_ = measure(*this);
  return *statistics_;
}

ImageDataset::ImageDataset(Tensor images, const Tensor& labels, std::vector<std::string> class_names)
    : images_(std::move(images)), class_names_(std::move(class_names)) {
  constexpr std::string_view kOp = "image_dataset";
  if (images_.dtype() != DType::u8) fail<DTypeError>(kOp, "images must be u8, got {}", images_.dtype());
  if (images_.shape().rank() != 4) fail<ShapeError>(kOp, "images must be [N,C,H,W], got {}", images_.shape());
  if (is_float(labels.dtype())) fail<DTypeError>(kOp, "labels must be integers, got {}", labels.dtype());
  if (labels.shape().rank() != 1 || labels.shape()[0] != size())
    fail<ShapeError>(kOp, "labels must be [{}] for images {}, got {}", size(), images_.shape(),
                     labels.shape());
  labels_ = labels.to(DType::i64, Tag::data);
  const std::span<const std::int64_t> values = std::as_const(labels_).values<std::int64_t>();
  const auto wrong = std::find_if(values.begin(), values.end(),
                                  [&](std::int64_t label) { return label < 0 || label >= classes(); });
  if (wrong != values.end())
    fail<ArgumentError>(kOp, "the label of image {} must be in [0,{}), got {}", wrong - values.begin(),
                        classes(), *wrong);
}

ImageDataset::ImageDataset(Tensor images, const Tensor& labels, std::int64_t classes)
    : ImageDataset(std::move(images), labels, numbered(classes)) {}

std::int64_t ImageDataset::label(std::int64_t i) const {
  check_index(i);
  return labels_.data<std::int64_t>()[i];
}

void ImageDataset::copy_image(std::int64_t i, std::span<std::uint8_t> pixels) const {
  check_index(i);
  const std::int64_t bytes = image_shape().numel();
  if (static_cast<std::int64_t>(pixels.size()) != bytes)
    fail<ShapeError>("image_dataset", "an image {} needs room for {} bytes, got {}", image_shape(), bytes,
                     pixels.size());
  std::copy_n(images_.data<std::uint8_t>() + i * bytes, bytes, pixels.data());
}

void ImageDataset::check_index(std::int64_t i) const {
  if (i < 0 || i >= size())
    fail<ArgumentError>("image_dataset", "the image's index must be in [0,{}), got {}", size(), i);
}

std::shared_ptr<Dataset> subset(std::shared_ptr<const Dataset> data, std::int64_t n) {
  if (data == nullptr) fail<ArgumentError>("subset", "the data set must not be null");
  if (n < 1 || n > data->size())
    fail<ArgumentError>("subset", "n must be in [1,{}], the images of the data set, got {}", data->size(), n);
  return std::make_shared<Subset>(std::move(data), n);
}

}  // namespace retrace

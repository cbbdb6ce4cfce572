#pragma once
#include <retrace/core/shape.h>
#include <retrace/core/tensor.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace retrace {

/// The images to learn from, or the ones to be judged by.
enum class Split : std::uint8_t {
  train,  ///< to learn from
  test    ///< to be judged by
};

/// Mean and standard deviation of each channel, of pixels in [0, 1].
struct ChannelStatistics {
  std::vector<double> mean{};    ///< one a channel
  std::vector<double> stddev{};  ///< one a channel
};

/// Labelled images of one size, each C*H*W bytes: channel by channel, row by row, 0 black and 255 full.
///
/// For data of your own, derive from this class and say how an image is made (or make an ImageDataset from
/// tensors):
/// ```cpp
/// class Shapes final : public Dataset {
///   std::int64_t size() const override { return 1000; }
///   Shape image_shape() const override { return {1, 16, 16}; }
///   std::int64_t classes() const override { return 2; }
///   std::int64_t label(std::int64_t i) const override { return i % 2; }
///   void copy_image(std::int64_t i, std::span<std::uint8_t> pixels) const override { draw(i, pixels); }
/// };
/// ```
/// A Loader calls `label` and `copy_image` on a thread of its own: they must give the same answer every time,
/// and must not write to the object unless they lock it. What they throw reaches the caller of Loader::next.
class Dataset {
 public:
  Dataset() = default;
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;
  virtual ~Dataset() = default;

  /// The number of images.
  virtual std::int64_t size() const = 0;
  /// [C, H, W].
  virtual Shape image_shape() const = 0;
  /// Labels are in [0, classes()).
  virtual std::int64_t classes() const = 0;
  /// One name a class; by default "0", "1", ...
  virtual std::vector<std::string> class_names() const;
  /// The label of image i.
  virtual std::int64_t label(std::int64_t i) const = 0;
  /// Writes image i; `pixels` holds C*H*W bytes.
  virtual void copy_image(std::int64_t i, std::span<std::uint8_t> pixels) const = 0;

  /// Mean and (population) standard deviation of each channel over all images. Read once, then kept.
  /// Thread-safe.
  const ChannelStatistics& statistics() const;

 private:
  mutable std::mutex mutex_;
  mutable std::optional<ChannelStatistics> statistics_;
};

/// Images and labels in memory.
class ImageDataset final : public Dataset {
 public:
  /// images: u8 [N, C, H, W]; labels: integers [N], each in [0, class_names.size()). The images are shared,
  /// not copied: do not write to them afterwards. Throws ShapeError, DTypeError, and ArgumentError for other
  /// labels.
  ImageDataset(Tensor images, const Tensor& labels, std::vector<std::string> class_names);
  /// The same with classes named "0", "1", ...
  ImageDataset(Tensor images, const Tensor& labels, std::int64_t classes);

  std::int64_t size() const override { return images_.shape()[0]; }
  Shape image_shape() const override { return images_.shape().without(0); }
  std::int64_t classes() const override { return static_cast<std::int64_t>(class_names_.size()); }
  std::vector<std::string> class_names() const override { return class_names_; }
  /// Throws ArgumentError unless 0 <= i < size().
  std::int64_t label(std::int64_t i) const override;
  /// Throws ArgumentError unless 0 <= i < size(), and ShapeError for another number of pixels.
  void copy_image(std::int64_t i, std::span<std::uint8_t> pixels) const override;

  /// u8 [N, C, H, W].
  const Tensor& images() const { return images_; }
  /// i64 [N].
  const Tensor& labels() const { return labels_; }

 private:
  void check_index(std::int64_t i) const;

  Tensor images_;
  Tensor labels_;
  std::vector<std::string> class_names_;
};

/// The first n images of a data set, with statistics of their own. Throws ArgumentError unless 1 <= n <=
/// size().
std::shared_ptr<Dataset> subset(std::shared_ptr<const Dataset> data, std::int64_t n);

}  // namespace retrace

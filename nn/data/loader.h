#pragma once
#include <retrace/nn/data/augment.h>
#include <retrace/nn/data/dataset.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace retrace {

/// How a `Loader` cuts a data set into batches.
struct LoaderOptions {
  std::int64_t batch_size = 100;  ///< images in a batch
  bool shuffle = true;            ///< each epoch in an order of its own, else in that of the data set
  std::uint64_t seed = 0;         ///< of the order and of the augmentation
  bool drop_last = false;         ///< leaves out a last batch that is smaller than the others
  Augmentation augmentation{};    ///< what happens to an image on its way
  DType dtype = DType::f32;       ///< of the images: f32 or f64
  int prefetch = 2;               ///< batches made ahead on a thread; 0 makes them in the caller's
  Device device{};                ///< of the batches; a GPU gets them while it works on the ones before

  /// The same for test images: in order, all of them, without the random parts of the augmentation.
  LoaderOptions for_evaluation() const {
    LoaderOptions result = *this;
    result.shuffle = result.drop_last = false;
    result.augmentation = augmentation.for_evaluation();
    return result;
  }
};

/// Some images of an epoch, in its order.
struct Batch {
  Tensor images{};         ///< [N, C, H, W]
  Tensor labels{};         ///< i64 [N]
  std::int64_t epoch = 0;  ///< the one that start_epoch was given
  std::int64_t index = 0;  ///< of the batch in the epoch
  std::int64_t first = 0;  ///< place of its first image in the epoch's order
};

/// Cuts a data set into batches, epoch after epoch.
/// ```cpp
/// Loader loader(cifar10(folder, Split::train), {.augmentation = {.pad = 4, .flip = true}});
/// for (std::int64_t epoch = 0; epoch < 10; ++epoch) {
///   loader.start_epoch(epoch);
///   while (std::optional<Batch> batch = loader.next()) learn(*batch);
/// }
/// ```
/// A batch is a function of (data set, options, epoch, index) alone, prefetched or not: a run that is resumed
/// with `start_epoch(epoch, index)` goes on with the very batch.
///
/// Batches lie in a ring of prefetch + 1 places (Tag::data) that is allocated here and used over and over. A
/// batch is valid until the next call of `next` or `start_epoch`. Whoever keeps its tensors longer (or a view
/// of them) keeps their bytes: the ring then leaves them alone and allocates others in their place. For a GPU
/// each place has page-locked memory of the host beside it, from which the batch is copied.
///
/// A loader belongs to one thread.
class Loader {
 public:
  /// Throws ArgumentError for no or an empty data set and for options out of range, DTypeError,
  /// OutOfMemoryError.
  explicit Loader(std::shared_ptr<const Dataset> data, const LoaderOptions& options = {});
  /// Waits for the batch that is being made, if any.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Goes to batch `first_batch` of an epoch, wherever the loader was. Throws ArgumentError unless epoch >= 0
  /// and 0 <= first_batch <= batches().
  void start_epoch(std::int64_t epoch, std::int64_t first_batch = 0);
  /// The next batch, or none at the end of the epoch. Throws ArgumentError before the first start_epoch and
  /// for a label outside the classes, and what the data set throws; the batches before the one that failed
  /// come first, and every call after it throws the same until start_epoch.
  std::optional<Batch> next();

  /// Batches in an epoch.
  std::int64_t batches() const;
  const Dataset& dataset() const;        ///< what it cuts
  const LoaderOptions& options() const;  ///< those it was made with

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace

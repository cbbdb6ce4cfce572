#include <retrace/core/allocator.h>
#include <retrace/core/fail.h>
#include <retrace/core/scope.h>
#include <retrace/nn/data/loader.h>
#include <retrace/nn/data/sampler.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>

namespace retrace {

namespace {

constexpr std::string_view kLoader = "loader";
constexpr int kMostPrefetched = 1000;

/// A tensor that is filled over and over: on another device than the CPU, from staged bytes.
class StagedTensor {
 public:
  StagedTensor() = default;
  StagedTensor(const Shape& shape, DType dtype, Device device)
      : tensor_(shape, dtype, Tag::data, device), staging_(allocator(device).stage(tensor_.bytes())) {}

  /// Where the elements are to be written.
  template <class T>
  T* host() {
    if (staging_ == nullptr) return tensor_.mutable_data<T>();
    staging_->wait();
    return reinterpret_cast<T*>(staging_->data());
  }
  /// The first `count` elements have been written.
  template <class T>
  void written(std::int64_t count) {
    if (staging_ != nullptr)
      staging_->begin(reinterpret_cast<std::byte*>(tensor_.mutable_data<T>()),
                      count * static_cast<std::int64_t>(sizeof(T)));
  }
  Tensor hand_out(std::int64_t rows) const {
    if (staging_ != nullptr) staging_->join();
    return rows == tensor_.shape()[0] ? tensor_ : tensor_.slice(0, rows);
  }
  /// Bytes that someone else still holds stay theirs; the place gets others.
  void take_back() {
    if (!tensor_.unique() || tensor_.storage().released()) tensor_ = like(tensor_, Tag::data);
  }

 private:
  Tensor tensor_;
  std::unique_ptr<Staging> staging_;  // goes first, and waits: the tensor's bytes may be copied to until then
};

/// For one batch.
struct Slot {
  StagedTensor images;
  StagedTensor labels;
};

std::shared_ptr<const Dataset> checked(std::shared_ptr<const Dataset> data, const LoaderOptions& options) {
  if (data == nullptr) fail<ArgumentError>(kLoader, "the data set must not be null");
  if (data->size() < 1)
    fail<ArgumentError>(kLoader, "the data set must hold at least 1 image, got {}", data->size());
  if (options.batch_size < 1)
    fail<ArgumentError>(kLoader, "batch_size must be at least 1, got {}", options.batch_size);
  if (options.drop_last && options.batch_size > data->size())
    fail<ArgumentError>(kLoader,
                        "batch_size must be at most {}, the images of the data set, with drop_last, got {}",
                        data->size(), options.batch_size);
  if (options.dtype != DType::f32 && options.dtype != DType::f64)
    fail<DTypeError>(kLoader, "dtype must be f32 or f64, got {}", options.dtype);
  if (options.prefetch < 0 || options.prefetch > kMostPrefetched)
    fail<ArgumentError>(kLoader, "prefetch must be in [0,{}], got {}", kMostPrefetched, options.prefetch);
  return data;
}

}  // namespace

/// Batch b of an epoch lies in slot b mod ring size. The counters of batches in the epoch run in this order,
/// the first by at most a ring's length ahead of the last:
///
///     produced_ >= handed_ >= returned_ >= handed_ - 1
struct Loader::State {
  State(std::shared_ptr<const Dataset> data, const LoaderOptions& options);
  ~State();

  void start_epoch(std::int64_t epoch, std::int64_t first_batch);
  std::optional<Batch> next();
  std::int64_t batches() const;

  const std::shared_ptr<const Dataset> data_;
  const LoaderOptions options_;

 private:
  void run();
  bool may_produce() const;
  void produce(std::unique_lock<std::mutex>& lock);
  void fill(Slot& slot, std::int64_t batch);
  template <class T>
  void fill_rows(Slot& slot, std::int64_t first, std::int64_t count);
  Batch hand_out();
  void return_batch();
  Slot& slot_of(std::int64_t batch) { return ring_[static_cast<std::size_t>(batch) % ring_.size()]; }
  std::int64_t rows_of(std::int64_t batch) const;

  const std::int64_t size_;
  const Shape shape_;
  const std::int64_t classes_;
  const Augmenter augmenter_;
  std::vector<Slot> ring_;
  std::vector<std::uint8_t> pixels_;  // of one image; belongs to whoever produces

  std::mutex mutex_;  // guards what follows; order_ and epoch_ are also read by whoever produces
  std::condition_variable work_;
  std::condition_variable done_;
  std::vector<std::int64_t> order_;
  std::int64_t epoch_ = 0;
  std::int64_t produced_ = 0;
  std::int64_t handed_ = 0;
  std::int64_t returned_ = 0;
  bool started_ = false;
  bool paused_ = true;
  bool producing_ = false;
  bool stop_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

Loader::State::State(std::shared_ptr<const Dataset> data, const LoaderOptions& options)
    : data_(checked(std::move(data), options)),
      options_(options),
      size_(data_->size()),
      shape_(data_->image_shape()),
      classes_(data_->classes()),
      augmenter_(options_.augmentation, shape_, options_.seed),
      ring_(static_cast<std::size_t>(options_.prefetch) + 1),
      pixels_(static_cast<std::size_t>(shape_.numel())),
      order_(static_cast<std::size_t>(size_)) {
  const OpName op(kLoader);
  const std::int64_t rows = std::min(options_.batch_size, size_);
  for (Slot& slot : ring_) {
    slot.images = StagedTensor({rows, shape_[0], shape_[1], shape_[2]}, options_.dtype, options_.device);
    slot.labels = StagedTensor({rows}, DType::i64, options_.device);
  }
  if (options_.prefetch > 0) thread_ = std::thread([this] { run(); });
}

Loader::State::~State() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  thread_.join();
}

std::int64_t Loader::State::batches() const {
  const std::int64_t whole = size_ / options_.batch_size;
  return options_.drop_last || size_ % options_.batch_size == 0 ? whole : whole + 1;
}

std::int64_t Loader::State::rows_of(std::int64_t batch) const {
  return std::min(options_.batch_size, size_ - batch * options_.batch_size);
}

void Loader::State::start_epoch(std::int64_t epoch, std::int64_t first_batch) {
  if (epoch < 0) fail<ArgumentError>(kLoader, "epoch must be 0 or more, got {}", epoch);
  if (first_batch < 0 || first_batch > batches())
    fail<ArgumentError>(kLoader, "first_batch must be in [0,{}], the batches of an epoch, got {}", batches(),
                        first_batch);
  std::unique_lock lock(mutex_);
  return_batch();
  paused_ = true;
  done_.wait(lock, [this] { return !producing_; });
  epoch_ = epoch;
  if (options_.shuffle)
    order_ = epoch_order(size_, options_.seed, epoch);
  else
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
  produced_ = handed_ = returned_ = first_batch;
  error_ = nullptr;
  started_ = true;
  paused_ = false;
  work_.notify_all();
}

std::optional<Batch> Loader::State::next() {
  std::unique_lock lock(mutex_);
  if (!started_) fail<ArgumentError>(kLoader, "start_epoch must be called before next");
  return_batch();
  if (handed_ == batches()) return std::nullopt;
  if (thread_.joinable()) {
    work_.notify_all();
    done_.wait(lock, [this] { return produced_ > handed_ || error_ != nullptr; });
  } else if (may_produce()) {
    produce(lock);
  }
  if (produced_ == handed_) std::rethrow_exception(error_);
  return hand_out();
}

/// The consumer has done with the batch that it was handed last.
void Loader::State::return_batch() {
  if (returned_ == handed_) return;
  const OpName op(kLoader);
  Slot& slot = slot_of(returned_);
  slot.images.take_back();
  slot.labels.take_back();
  ++returned_;
}

Batch Loader::State::hand_out() {
  const std::int64_t batch = handed_++;
  const Slot& slot = slot_of(batch);
  const std::int64_t rows = rows_of(batch);
  return {.images = slot.images.hand_out(rows),
          .labels = slot.labels.hand_out(rows),
          .epoch = epoch_,
          .index = batch,
          .first = batch * options_.batch_size};
}

bool Loader::State::may_produce() const {
  return !paused_ && error_ == nullptr && produced_ < batches() &&
         produced_ - returned_ < static_cast<std::int64_t>(ring_.size());
}

void Loader::State::run() {
  const OpName op(kLoader);
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return stop_ || may_produce(); });
    if (stop_) return;
    produce(lock);
    done_.notify_all();
  }
}

/// Makes the next batch with the lock open. Nobody else touches its slot, the order or the epoch meanwhile.
void Loader::State::produce(std::unique_lock<std::mutex>& lock) {
  producing_ = true;
  const std::int64_t batch = produced_;
  lock.unlock();
  std::exception_ptr error;
  try {
    fill(slot_of(batch), batch);
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  producing_ = false;
  if (error == nullptr) ++produced_;
  error_ = std::move(error);
}

void Loader::State::fill(Slot& slot, std::int64_t batch) {
  visit_float(kLoader, options_.dtype,
              [&]<class T>(TypeTag<T>) { fill_rows<T>(slot, batch * options_.batch_size, rows_of(batch)); });
}

template <class T>
void Loader::State::fill_rows(Slot& slot, std::int64_t first, std::int64_t count) {
  T* images = slot.images.host<T>();
  auto* labels = slot.labels.host<std::int64_t>();
  const std::int64_t numel = shape_.numel();
  for (std::int64_t row = 0; row < count; ++row) {
    const std::int64_t index = order_[static_cast<std::size_t>(first + row)];
    labels[row] = data_->label(index);
    if (labels[row] < 0 || labels[row] >= classes_)
      fail<ArgumentError>(kLoader, "the label of image {} must be in [0,{}), got {}", index, classes_,
                          labels[row]);
    data_->copy_image(index, pixels_);
    augmenter_.apply<T>(pixels_, augmenter_.choice(epoch_, index),
                        std::span(images + row * numel, static_cast<std::size_t>(numel)));
  }
  slot.images.written<T>(count * numel);
  slot.labels.written<std::int64_t>(count);
}

Loader::Loader(std::shared_ptr<const Dataset> data, const LoaderOptions& options)
    : state_(std::make_unique<State>(std::move(data), options)) {}

Loader::~Loader() = default;

void Loader::start_epoch(std::int64_t epoch, std::int64_t first_batch) {
  state_->start_epoch(epoch, first_batch);
}

std::optional<Batch> Loader::next() { return state_->next(); }

std::int64_t Loader::batches() const { return state_->batches(); }

const Dataset& Loader::dataset() const { return *state_->data_; }

const LoaderOptions& Loader::options() const { return state_->options_; }

}  // namespace retrace

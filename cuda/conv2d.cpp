// Convolutions by cuDNN, whose result is the same each time: algorithms that add in an order of chance are
// not taken.
#include <retrace/core/kernels.h>
#include <retrace/cuda/cudnn_descriptors.h>
#include <retrace/cuda/install.h>
#include <retrace/cuda/scratch.h>

#include <array>
#include <map>
#include <mutex>
#include <span>
#include <tuple>
#include <vector>

namespace retrace::cuda {

namespace {

/// The most scratch space that an algorithm is given for being fast: little beside a GPU's memory.
constexpr std::size_t kMostWorkspace = std::size_t{64} << 20;

/// x * w = y, as cuDNN describes it, and what the choice of an algorithm depends on.
struct Problem {
  Problem(const Shape& x_shape, const Shape& w_shape, const Shape& y_shape, const Conv2dOptions& options,
          const Tensor& like)
      : x(x_shape, like.dtype()),
        w(w_shape, like.dtype()),
        y(y_shape, like.dtype()),
        convolution(options, like.dtype()),
        algorithm(options.algorithm) {
    const auto& [stride, padding, dilation, groups, wanted] = options;
    key = {stride.h, stride.w, padding.h, padding.w, dilation.h, dilation.w, groups};
    key.insert(key.end(), x_shape.begin(), x_shape.end());
    key.insert(key.end(), w_shape.begin(), w_shape.end());
    key.insert(key.end(), {static_cast<int>(wanted), static_cast<int>(like.dtype()), like.device().index()});
  }

  TensorDescriptor x;
  FilterDescriptor w;
  TensorDescriptor y;
  ConvolutionDescriptor convolution;
  Conv2dAlgorithm algorithm;
  std::vector<std::int64_t> key;
};

// The three directions: cuDNN's functions, the operands in their order (the last is the result), and the
// algorithm that sums products without a transform, takes every problem and is deterministic.

struct Forward {
  using Candidate = cudnnConvolutionFwdAlgoPerf_t;
  static constexpr auto kDirect = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
  static constexpr int kAlgorithms = CUDNN_CONVOLUTION_FWD_ALGO_COUNT;
  static constexpr auto kCandidates = &cudnnGetConvolutionForwardAlgorithm_v7;
  static constexpr auto kWorkspaceBytes = &cudnnGetConvolutionForwardWorkspaceSize;
  static constexpr auto kRun = &cudnnConvolutionForward;
  static constexpr const char* kName = "cudnnConvolutionForward";
  static auto operands(const Problem& p) { return std::tie(p.x, p.w, p.y); }
};
struct BackwardData {
  using Candidate = cudnnConvolutionBwdDataAlgoPerf_t;
  static constexpr auto kDirect = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
  static constexpr int kAlgorithms = CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT;
  static constexpr auto kCandidates = &cudnnGetConvolutionBackwardDataAlgorithm_v7;
  static constexpr auto kWorkspaceBytes = &cudnnGetConvolutionBackwardDataWorkspaceSize;
  static constexpr auto kRun = &cudnnConvolutionBackwardData;
  static constexpr const char* kName = "cudnnConvolutionBackwardData";
  static auto operands(const Problem& p) { return std::tie(p.w, p.y, p.x); }
};
struct BackwardWeight {
  using Candidate = cudnnConvolutionBwdFilterAlgoPerf_t;
  static constexpr auto kDirect = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;
  static constexpr int kAlgorithms = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT;
  static constexpr auto kCandidates = &cudnnGetConvolutionBackwardFilterAlgorithm_v7;
  static constexpr auto kWorkspaceBytes = &cudnnGetConvolutionBackwardFilterWorkspaceSize;
  static constexpr auto kRun = &cudnnConvolutionBackwardFilter;
  static constexpr const char* kName = "cudnnConvolutionBackwardFilter";
  static auto operands(const Problem& p) { return std::tie(p.x, p.y, p.w); }
};

/// An algorithm of a direction and its scratch space.
template <class Direction>
struct Plan {
  decltype(Direction::Candidate::algo) algorithm = Direction::kDirect;
  std::size_t bytes = 0;
};

/// The fastest algorithm that is deterministic and takes no more than kMostWorkspace; else, or if it is asked
/// for, the direct one, whatever it takes.
template <class Direction>
Plan<Direction> choose(cudnnHandle_t handle, const Problem& problem) {
  const auto [a, b, result] = Direction::operands(problem);
  // One algorithm may come twice, with two math types.
  std::array<typename Direction::Candidate, 2 * Direction::kAlgorithms> found;
  int count = 0;
  if (problem.algorithm == Conv2dAlgorithm::automatic)
    check(Direction::kCandidates(handle, a, b, problem.convolution, result, static_cast<int>(found.size()),
                                 &count, found.data()),
          "cudnnGetConvolutionAlgorithm_v7");
  Plan<Direction> plan;
  for (const auto& candidate :
       std::span(found).first(static_cast<std::size_t>(count))) {  // the fastest first
    if (candidate.status != CUDNN_STATUS_SUCCESS || candidate.determinism != CUDNN_DETERMINISTIC) continue;
    plan.algorithm = candidate.algo;
    // `candidate.memory` may be that of another math type than the problem's.
    const cudnnStatus_t status =
        Direction::kWorkspaceBytes(handle, a, b, problem.convolution, result, plan.algorithm, &plan.bytes);
    if (status == CUDNN_STATUS_SUCCESS && plan.bytes <= kMostWorkspace) return plan;
  }
  plan.algorithm = Direction::kDirect;
  check(Direction::kWorkspaceBytes(handle, a, b, problem.convolution, result, plan.algorithm, &plan.bytes),
        "cudnnGetConvolutionWorkspaceSize");
  return plan;
}

/// The plan for a problem, chosen once: a replay takes forward's.
template <class Direction>
Plan<Direction> plan_for(cudnnHandle_t handle, const Problem& problem) {
  static std::map<std::vector<std::int64_t>, Plan<Direction>> plans;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const auto known = plans.find(problem.key);
  if (known != plans.end()) return known->second;
  return plans.emplace(problem.key, choose<Direction>(handle, problem)).first->second;
}

const void* elements(const Tensor& x) {
  return visit_any_float("conv2d", x.dtype(),
                         [&]<class T>(TypeTag<T>) -> const void* { return x.data<T>(); });
}
void* mutable_elements(Tensor& x) {
  return visit_any_float("conv2d", x.dtype(),
                         [&]<class T>(TypeTag<T>) -> void* { return x.mutable_data<T>(); });
}

/// What becomes of the numbers that a result's memory holds before.
enum class Before { overwritten, added };

/// out = what the direction makes of a and b, and what out held before if that is to be added.
template <class Direction>
void convolve(const Problem& problem, const Tensor& a, const Tensor& b, Tensor& out,
              Before before = Before::overwritten) {
  cudnnHandle_t handle = context(out.device()).cudnn();
  const Plan<Direction> plan = plan_for<Direction>(handle, problem);
  const Scratch scratch(static_cast<std::int64_t>(plan.bytes), out.device());
  const auto operands = Direction::operands(problem);
  const auto run = [&](auto one) {
    const decltype(one) kept = before == Before::added ? 1 : 0;
    return Direction::kRun(handle, &one, std::get<0>(operands), elements(a), std::get<1>(operands),
                           elements(b), problem.convolution, plan.algorithm, scratch.data(), plan.bytes,
                           &kept, std::get<2>(operands), mutable_elements(out));
  };
  check(out.dtype() == DType::f64 ? run(1.0) : run(1.0F), Direction::kName);
}

/// The same with a bias and a residual, either of which may be missing. cuDNN adds to the bias before it
/// rounds; what becomes of the residual is rounded before, as if these were two operations.
template <class Direction>
void convolve_onto(const Problem& problem, const Tensor& a, const Tensor& b, const Tensor& bias,
                   const kernel::Residual& residual, Tensor& out) {
  // Where out is the residual, the sum has to stand elsewhere until they are added.
  Tensor sum = residual.value.shares_storage(out) ? like(out, Tag::workspace) : out;
  if (bias.defined()) kernel::broadcast_to(bias.reshape({bias.numel(), 1, 1}), 1, sum);
  convolve<Direction>(problem, a, b, sum, bias.defined() ? Before::added : Before::overwritten);
  if (residual.value.defined())
    (residual.sign == Sign::plus ? kernel::add : kernel::sub)(residual.value, sum, out);
}

void conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
            const kernel::Residual& residual, Tensor& y) {
  convolve_onto<Forward>(Problem(x.shape(), w.shape(), y.shape(), options, y), x, w, bias, residual, y);
}

void conv2d_backward_data(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                          const kernel::Residual& residual, Tensor& dx) {
  convolve_onto<BackwardData>(Problem(dx.shape(), w.shape(), dy.shape(), options, dx), w, dy, Tensor(),
                              residual, dx);
}

void conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dOptions& options, Tensor& dw) {
  convolve<BackwardWeight>(Problem(x.shape(), dw.shape(), dy.shape(), options, dw), x, dy, dw);
}

}  // namespace

void install_conv2d() {
  kernel::conv2d.install(DeviceKind::cuda, &conv2d);
  kernel::conv2d_backward_data.install(DeviceKind::cuda, &conv2d_backward_data);
  kernel::conv2d_backward_weight.install(DeviceKind::cuda, &conv2d_backward_weight);
}

}  // namespace retrace::cuda

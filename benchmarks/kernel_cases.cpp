#include <retrace/benchmarks/kernel_cases.h>
#include <retrace/core/format.h>
#include <retrace/core/kernels.h>
#include <retrace/nn/optimizer.h>
#include <retrace/revnet/networks.h>

#include <memory>

namespace retrace::benchmarks {

namespace {

constexpr std::int64_t kBatch = 100;

constinit Setting setting_now{};  // that kernel_cases was called with last

Tensor zeros(const Shape& shape, DType dtype) {
  return Tensor::zeros(shape, dtype, Tag::data, setting_now.device);
}

Tensor ramp(const Shape& shape) {
  Tensor x(shape, DType::f32);
  float* values = x.mutable_data<float>();
  for (std::int64_t i = 0; i < x.numel(); ++i) values[i] = static_cast<float>(i % 17) / 17 - 0.5F;
  return x.to(setting_now.dtype, Tag::data).to(setting_now.device, Tag::data);
}

Tensor mask_of(const Tensor& x) { return zeros(Shape{(x.numel() + 7) / 8}, DType::u8); }

/// Bytes of a pass over each of these tensors.
template <class... T>
double bytes_of(const T&... tensors) {
  return static_cast<double>((tensors.bytes() + ...));
}

double count_of(const Tensor& x) { return static_cast<double>(x.numel()); }

// Convolutions.

struct ConvShape {
  std::int64_t in, out, size, kernel, stride;

  std::string name() const {
    return fmt::format("{0}x{0}{1} {2}->{3}@{4}", kernel,
                       stride == 1 ? "" : fmt::format(" stride {}", stride), in, out, size);
  }
};

constexpr ConvShape kConvolutions[] = {
    {3, 32, 32, 3, 1},  {16, 16, 32, 3, 1}, {32, 32, 16, 3, 1},  {32, 32, 32, 3, 1},
    {64, 64, 16, 3, 1}, {56, 56, 8, 3, 1},  {64, 64, 8, 3, 1},   {128, 128, 8, 3, 1},
    {16, 32, 32, 3, 2}, {32, 64, 16, 3, 2}, {64, 128, 16, 3, 2}, {64, 16, 32, 1, 1},
    {16, 64, 32, 1, 1}, {256, 64, 8, 1, 1}, {64, 256, 8, 1, 1},  {16, 32, 32, 1, 2},
};

/// The tensors of one convolution.
struct Conv {
  Conv2dOptions options;
  Tensor x, w, y;  // y, x and w take the results; dy, dx and dw have their shapes

  explicit Conv(const ConvShape& s)
      : options{.stride = s.stride, .padding = s.kernel / 2},
        x(ramp({kBatch, s.in, s.size, s.size})),
        w(ramp({s.out, s.in, s.kernel, s.kernel})),
        y(ramp(conv2d_shape(x.shape(), w.shape(), options))) {}

  Work work(std::function<void()> run) const {
    return {.run = std::move(run),
            .flops = 2 * count_of(y) * static_cast<double>(w.numel() / w.shape()[0]),
            .bytes = bytes_of(x, w, y),
            .limit = Limit::arithmetic};
  }
};

void add_convolutions(std::vector<KernelCase>& cases) {
  for (const ConvShape& s : kConvolutions) {
    const std::string name = "conv2d " + s.name();
    cases.push_back({name + " forward", [s] {
                       const auto c = std::make_shared<Conv>(s);
                       return c->work([c] { kernel::conv2d(c->x, c->w, Tensor(), c->options, {}, c->y); });
                     }});
    cases.push_back({name + " data", [s] {
                       const auto c = std::make_shared<Conv>(s);
                       return c->work(
                           [c] { kernel::conv2d_backward_data(c->y, c->w, c->options, {}, c->x); });
                     }});
    cases.push_back({name + " weight", [s] {
                       const auto c = std::make_shared<Conv>(s);
                       return c->work([c] { kernel::conv2d_backward_weight(c->y, c->x, c->options, c->w); });
                     }});
  }
}

// Batch norm and ReLU.

/// The tensors of a batch norm and of the ReLU behind it.
struct Norm {
  Tensor x, y, dy, dx, mask;
  Tensor gamma, beta, running_mean, running_var, mean, rstd, dgamma, dbeta;

  explicit Norm(const Shape& shape)
      : x(ramp(shape)), y(like(x)), dy(ramp(shape)), dx(like(x)), mask(mask_of(x)), gamma(ramp({shape[1]})) {
    for (Tensor* t : {&beta, &running_mean, &running_var, &mean, &rstd, &dgamma, &dbeta})
      *t = ramp({shape[1]});
    norm(true, mask);
    // gamma = 1 / rstd, or dy, differentiated over and over, would shrink to slow subnormal numbers.
    kernel::div(Tensor::full({1}, 1, DType::f32, Tag::data, setting_now.device), rstd, gamma);
  }

  void norm(bool relu, Tensor bits) {
    kernel::batch_norm_training(x, gamma, beta, 0.1, 1e-5, relu, running_mean, running_var, mean, rstd, y,
                                bits);
  }
  /// Over dy, as the tape does where nothing else holds it.
  void norm_backward(const Tensor& bits) {
    kernel::batch_norm_backward(dy, x, gamma, mean, rstd, bits, true, {}, dy, dgamma, dbeta);
  }
};

// An element's additions, multiplications and comparisons: x and x^2 summed, then scaled and shifted;
// backward dy and dy x summed, then dx = a dy + b x + c.
constexpr double kNormFlops = 5;
constexpr double kNormBackwardFlops = 7;

void add_norms(std::vector<KernelCase>& cases) {
  for (const Shape& shape : {Shape{kBatch, 16, 32, 32}, Shape{kBatch, 32, 16, 16}, Shape{kBatch, 64, 8, 8}}) {
    const auto add = [&](const std::string& name, double passes, double masks, double flops,
                         void (*run)(Norm&)) {
      const std::string full = fmt::format("{} {}x{}x{}x{}", name, shape[0], shape[1], shape[2], shape[3]);
      cases.push_back({full, [=] {
                         const auto n = std::make_shared<Norm>(shape);
                         return Work{.run = [n, run] { run(*n); },
                                     .flops = flops * count_of(n->x),
                                     .bytes = passes * bytes_of(n->x) + masks * bytes_of(n->mask)};
                       }});
    };
    // The statistics need all of x before the first y can be written: two reads, one write.
    add("batch_norm forward", 3, 0, kNormFlops, [](Norm& n) { n.norm(false, Tensor()); });
    add("batch_norm backward", 5, 0, kNormBackwardFlops, [](Norm& n) { n.norm_backward(Tensor()); });
    add("relu forward", 2, 1, 1, [](Norm& n) { kernel::relu(n.x, n.y, n.mask); });
    add("relu backward", 2, 1, 1, [](Norm& n) { kernel::masked_backward(n.mask, n.dy, n.dx); });
    add("batch_norm + relu forward", 3, 1, kNormFlops + 1, [](Norm& n) { n.norm(true, n.mask); });
    add("batch_norm + relu backward", 5, 2, kNormBackwardFlops + 1, [](Norm& n) { n.norm_backward(n.mask); });
  }
}

// The rest.

KernelCase case_of_add() {
  return {"add 100x16x32x32", [] {
            const Tensor x = ramp({kBatch, 16, 32, 32});
            const Tensor y = ramp(x.shape());
            const auto out = std::make_shared<Tensor>(like(x));
            return Work{
                .run = [=] { kernel::add(x, y, *out); }, .flops = count_of(x), .bytes = bytes_of(x, y, *out)};
          }};
}

KernelCase case_of_copy() {
  return {"copy 100x16x32x32", [] {
            const Tensor x = ramp({kBatch, 16, 32, 32});
            const auto y = std::make_shared<Tensor>(like(x));
            return Work{.run = [=] { kernel::copy(x, *y); }, .flops = 0, .bytes = bytes_of(x, *y)};
          }};
}

KernelCase case_of_matmul() {
  return {"matmul 1024x1024x1024", [] {
            const Tensor a = ramp({1024, 1024});
            const Tensor b = ramp(a.shape());
            const auto out = std::make_shared<Tensor>(like(a));
            return Work{.run = [=] { kernel::matmul(a, b, Tensor(), MatmulOptions{}, *out); },
                        .flops = 2 * 1024 * count_of(a),
                        .bytes = bytes_of(a, b, *out),
                        .limit = Limit::arithmetic};
          }};
}

/// A whole step, of many small parameters and a few large ones.
KernelCase case_of_sgd() {
  return {"sgd step of revnet110", [] {
            const auto network = std::make_shared<ResidualNetwork>(network_options("revnet110"));
            network->to(setting_now.device);
            for (Parameter* p : network->parameters())
              p->accumulate_grad(
                  Tensor::full(p->value().shape(), 1e-3, DType::f32, Tag::gradient, setting_now.device));
            const auto sgd = std::make_shared<SGD>(
                network->parameters(), SgdOptions{.lr = 1e-6, .momentum = 0.9, .weight_decay = 2e-4});
            const auto count = static_cast<double>(network->parameter_count());
            constexpr double kFlops = 6;   // decay, momentum and step: a product and a sum each
            constexpr double kPasses = 5;  // reads gradient, momentum and parameter, writes the last two
            return Work{.run = [=] { static_cast<void>(network), sgd->step(); },
                        .flops = kFlops * count,
                        .bytes = kPasses * sizeof(float) * count};
          }};
}

void add_pools(std::vector<KernelCase>& cases) {
  static constexpr std::int64_t kWindow = 9;
  static constexpr Pool2dOptions kOptions{.kernel = 3, .stride = Size2d(2), .padding = 1};
  struct Pool {
    Tensor x = ramp({kBatch, 16, 32, 32});
    Tensor y = ramp(pool2d_shape("pool", x.shape(), kOptions));
    Tensor indices = zeros(y.shape(), DType::i32);
    Pool() { kernel::max_pool2d(x, kOptions, y, indices); }
  };
  const auto add = [&](const std::string& name, bool indexed, void (*run)(Pool&)) {
    cases.push_back({name + " 3x3 stride 2 100x16x32x32", [=] {
                       const auto p = std::make_shared<Pool>();
                       return Work{.run = [=] { run(*p); },
                                   .flops = kWindow * count_of(p->y),
                                   .bytes = bytes_of(p->x, p->y) + (indexed ? bytes_of(p->indices) : 0)};
                     }});
  };
  add("max_pool2d forward", true, [](Pool& p) { kernel::max_pool2d(p.x, kOptions, p.y, p.indices); });
  add("max_pool2d backward", true,
      [](Pool& p) { kernel::max_pool2d_backward(p.y, p.indices, kOptions, p.x); });
  add("avg_pool2d forward", false, [](Pool& p) { kernel::avg_pool2d(p.x, kOptions, p.y); });
  add("avg_pool2d backward", false, [](Pool& p) { kernel::avg_pool2d_backward(p.y, kOptions, p.x); });
}

void add_cross_entropy(std::vector<KernelCase>& cases) {
  struct Loss {
    Tensor logits = ramp({kBatch, 1000});
    Tensor labels = zeros({kBatch}, DType::i64);
    Tensor loss = zeros({}, DType::f32);
    Tensor dloss = ramp({});
    Tensor dlogits = like(logits);
  };
  constexpr double kFlops = 4;  // the largest, its distance, exp, and their sum
  cases.push_back(
      {"cross_entropy forward 100x1000", [] {
         const auto l = std::make_shared<Loss>();
         return Work{
             .run = [=] { kernel::cross_entropy(l->logits, l->labels, Tensor(), 0, -100, kBatch, l->loss); },
             .flops = kFlops * count_of(l->logits),
             .bytes = bytes_of(l->logits)};
       }});
  cases.push_back({"cross_entropy backward 100x1000", [] {
                     const auto l = std::make_shared<Loss>();
                     return Work{.run =
                                     [=] {
                                       kernel::cross_entropy_backward(l->logits, l->labels, Tensor(), 0, -100,
                                                                      kBatch, l->dloss, l->dlogits);
                                     },
                                 .flops = (kFlops + 2) * count_of(l->logits),
                                 .bytes = bytes_of(l->logits, l->dlogits)};
                   }});
}

}  // namespace

std::vector<KernelCase> kernel_cases(const Setting& setting) {
  setting_now = setting;
  std::vector<KernelCase> cases;
  add_convolutions(cases);
  cases.push_back(case_of_matmul());
  cases.push_back(case_of_add());
  cases.push_back(case_of_copy());
  add_pools(cases);
  if (setting.dtype != DType::f32) return cases;
  add_norms(cases);
  add_cross_entropy(cases);
  cases.push_back(case_of_sgd());
  return cases;
}

}  // namespace retrace::benchmarks

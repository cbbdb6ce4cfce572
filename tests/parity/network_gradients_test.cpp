#include <retrace/revnet/networks.h>

#include <algorithm>

#include "../support/catch.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

/// The gradients of one step of the whole network on `batch` images of 32 x 32; few, because f64 is slow.
std::vector<Named<Tensor>> gradients_of(std::string_view name, Policy policy, DType dtype,
                                        std::int64_t batch) {
  manual_seed(42);
  ResidualNetwork network(network_options(name));
  network.to(dtype);  // drawn in f32: the same weights for both types
  network.set_policy(policy);
  Tensor labels({batch}, DType::i64);
  for (std::int64_t i = 0; i < batch; ++i) labels.mutable_data<std::int64_t>()[i] = i % 10;
  const Tensor images = uniform({batch, 3, 32, 32}, 1).to(dtype, Tag::data);
  Tape tape;
  tape.backward(cross_entropy(network(Var(images)), labels));
  std::vector<Named<Tensor>> result;
  for (const auto& [path, parameter] : network.named_parameters())
    result.emplace_back(path, parameter->grad().clone(Tag::data));
  return result;
}

Tensors tensors_of(const std::vector<Named<Tensor>>& named) {
  Tensors tensors;
  for (const auto& [path, tensor] : named) tensors.push_back(tensor);
  return tensors;
}

/// Every gradient of the reversible run against the stored one, the stem's included: in f64 within 1e-9 of
/// its norm, in f32 within three times what the stored run itself is away from f64.
void check_network(std::string_view name, std::int64_t batch) {
  const auto exact = gradients_of(name, Policy::stored, DType::f64, batch);
  const auto reversible = gradients_of(name, Policy::reversible, DType::f64, batch);
  const auto stored_f32 = gradients_of(name, Policy::stored, DType::f32, batch);
  const auto reversible_f32 = gradients_of(name, Policy::reversible, DType::f32, batch);
  CHECK(exact.front().first == "conv1.weight");
  const double whole = norm(tensors_of(exact));
  double whole_rounding = 0;
  for (std::size_t i = 0; i < exact.size(); ++i)
    whole_rounding = std::hypot(whole_rounding, distance(stored_f32[i].second, exact[i].second));
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const auto& [path, gradient] = exact[i];
    INFO(name << " " << path);
    const double own = norm({gradient});
    const bool is_zero = own <= 1e-12 * whole;
    CHECK(distance(reversible[i].second, gradient) <= 1e-9 * (is_zero ? whole : own));
    const double rounding = distance(stored_f32[i].second, gradient);
    CHECK(distance(reversible_f32[i].second, gradient) <= 3 * (is_zero ? whole_rounding : rounding));
  }
}

}  // namespace

// MemCNN does not train its revnet38 on PyTorch >= 1.13; with the check of versions worked around, the
// gradient of the stem is wrong by 70 %, in f64 as well: what was 0 behind the stem's ReLU comes back as
// +-1e-8 and opens its mask.
TEST_CASE("[P36] every gradient of a whole revnet38 is that of the stored run", "[P36]") {
  check_network("revnet38", 8);
}

TEST_CASE("[P36] every gradient of a whole revnet110 is that of the stored run", "[P36]") {
  check_network("revnet110", 4);
}

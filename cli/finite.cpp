#include <retrace/cli/finite.h>

#include <algorithm>
#include <cmath>

namespace retrace::cli {

bool is_finite(const Tensor& x) {
  if (!is_float(x.dtype())) return true;
  const Tensor host = on_cpu(x);
  return visit_any_float("is_finite", x.dtype(), [&]<class T>(TypeTag<T>) {
    bool finite = true;
    for (const T value : host.values<T>()) finite &= std::isfinite(static_cast<double>(value));
    return finite;
  });
}

std::optional<std::string> first_not_finite(const std::vector<Named<Tensor>>& tensors) {
  const auto found =
      std::ranges::find_if(tensors, [](const Named<Tensor>& named) { return !is_finite(named.second); });
  return found == tensors.end() ? std::nullopt : std::optional(found->first);
}

}  // namespace retrace::cli

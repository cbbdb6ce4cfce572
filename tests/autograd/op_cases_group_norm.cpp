#include "../support/op_cases.h"

#include <retrace/autograd/ops.h>

#include <numeric>

namespace retrace::test {

namespace {

/// y times 1, 2, 3, ..., so that the gradient of a normalised x is not 0.
Var rising(const Var& y) {
  std::vector<double> factors(static_cast<std::size_t>(y.shape().numel()));
  std::iota(factors.begin(), factors.end(), 1.0);
  return y *
         Var(beside(y, Tensor::from(std::span<const double>(factors), y.shape()).to(y.dtype(), Tag::data)));
}

/// The literals are PyTorch's, of f64.
std::vector<OpCase> literals() {
  return {
      {.name = "layer_norm, literals",
       .function = [](const Vars& x) { return rising(layer_norm(x[0], {3}, x[1], x[2])); },
       .inputs = {values({2, 3}, {1, 2, 4, -1, 0.5, 0}), values({3}, {0.5, 1, -2}),
                  values({3}, {0.1, 0.2, 0.3})},
       .expected = {-0.43452076572514886, -0.13452076572514904, -7.1178114858772314, -2.2725780576272534,
                    6.3451561152545075, -1.407093669152705},
       .expected_gradients = {{-1.2599251148926642, 1.8899168798930726, -0.6299917650004101,
                               5.497884678785871, 10.995741868904286, -16.493626547690152},
                              {-6.414197646704805, 4.810635349529358, 5.6124525775149685},
                              {5, 7, 9}}},
      {.name = "layer_norm alone, literals",
       .function = [](const Vars& x) { return rising(layer_norm(x[0], {3}, {}, {}, 0.5)); },
       .inputs = {values({2, 3}, {1, 2, 4, -1, 0.5, 0})},
       .expected = {-0.9299811099505544, -0.46499055497527736, 3.4874291623145783, -3.535533905932737,
                    3.5355339059327378, 1.0606601717798214},
       .expected_gradients = {{-0.24506258978426743, 0.1131058106696623, 0.1319567791146059,
                               -0.7292038680986268, -0.2651650429449548, 0.9943689110435834}}},
      {.name = "group_norm, literals",
       .function = [](const Vars& x) { return rising(group_norm(x[0], 2, x[1], x[2])); },
       .inputs = {values({1, 4, 2}, {1, 2, 4, -1, 0.5, 0, 3, 3.5}), values({4}, {0.5, 1, -2, 1.5}),
                  values({4}, {0.1, 0.2, 0.3, 0.4})},
       .expected = {-0.03867483571057029, 0.4773496714211406, 4.760245071317108, -4.746993428422812,
                    9.719931592462013, 15.609485075336181, 11.430928172085114, 17.00948507533618},
       .expected_gradients = {{-0.9493891121641198, -0.5760340806521539, 0.7253753252140591,
                               0.8000478676022136, -0.6487341015045214, 0.4398410390574403,
                               0.8131327333537595, -0.6042396709066828},
                              {0.2773496714211406, -1.3867483571057029, -11.014708333899097,
                               14.960275498280863},
                              {3, 7, 11, 15}}},
  };
}

}  // namespace

std::vector<OpCase> group_norm_cases() {
  std::vector<OpCase> rows = literals();
  struct LayerCase {
    Shape x, normalized;
  };
  for (const LayerCase& c :
       {LayerCase{{1}, {1}}, LayerCase{{5}, {5}}, LayerCase{{3, 7}, {7}}, LayerCase{{2, 3, 4, 5}, {4, 5}},
        LayerCase{{4, 3, 2}, {4, 3, 2}}, LayerCase{{301, 131}, {131}}, LayerCase{{3, 9001}, {9001}}}) {
    const InputMaker x = uniform(c.x, -2, 3);
    const std::string name = text(" ", c.x, " over ", c.normalized);
    rows.push_back({.name = "layer_norm" + name,
                    .function = [s = c.normalized](const Vars& v) { return layer_norm(v[0], s, v[1], v[2]); },
                    .inputs = {x, uniform(c.normalized, 0.5, 2, 2), uniform(c.normalized, -1, 1, 3)}});
    rows.push_back({.name = "layer_norm alone" + name,
                    .function = [s = c.normalized](const Vars& v) { return layer_norm(v[0], s); },
                    .inputs = {x}});
  }
  struct GroupCase {
    Shape x;
    std::int64_t groups;
  };
  for (const GroupCase& c :
       {GroupCase{{2, 1}, 1}, GroupCase{{3, 8}, 2}, GroupCase{{2, 6, 3, 3}, 1}, GroupCase{{2, 6, 3, 3}, 3},
        GroupCase{{2, 6, 3, 3}, 6}, GroupCase{{2, 4, 3, 2, 2}, 2}, GroupCase{{150, 8, 5, 7}, 4},
        GroupCase{{2, 3, 65, 67}, 3}}) {
    const InputMaker x = uniform(c.x, -2, 3);
    const std::string name = text(" ", c.x, " in ", c.groups);
    rows.push_back({.name = "group_norm" + name,
                    .function = [g = c.groups](const Vars& v) { return group_norm(v[0], g, v[1], v[2]); },
                    .inputs = {x, uniform({c.x[1]}, 0.5, 2, 2), uniform({c.x[1]}, -1, 1, 3)}});
    rows.push_back({.name = "group_norm alone" + name,
                    .function = [g = c.groups](const Vars& v) { return group_norm(v[0], g); },
                    .inputs = {x}});
  }
  return rows;
}

}  // namespace retrace::test

#include "../support/op_cases.h"

#include <retrace/autograd/ops.h>

namespace retrace::test {

namespace {

// The literals are PyTorch's, of f64.

InputMaker three_rows() { return values({3, 3}, {1, 2, -1, 0.5, 0, 3, -2, 1.5, 0.25}); }

Tensor class_weights(DType dtype) { return Tensor::from<double>({0.5, 1, 2}, {3}).to(dtype, Tag::data); }

/// The cross entropy of three_rows() with these labels.
OpCase three_rows_with(std::string name, std::initializer_list<std::int64_t> labels,
                       const CrossEntropyOptions& options, std::vector<double> expected,
                       std::vector<double> gradient, bool weighted = false) {
  return {.name = "cross_entropy, " + std::move(name),
          .function =
              [labels = Tensor::from(labels, {3}), options, weighted](const Vars& x) {
                CrossEntropyOptions with = options;
                if (weighted) with.weight = beside(x[0], class_weights(x[0].dtype()));
                return cross_entropy(x[0], beside(x[0], labels), with);
              },
          .inputs = {three_rows()},
          .expected = std::move(expected),
          .expected_gradients = {std::move(gradient)}};
}

std::vector<OpCase> cross_entropy_literals() {
  return {
      three_rows_with("of three rows", {1, 0, 2}, {}, {1.4993384791283964},
                      {0.0864988201141397, -0.0982051624339196, 0.011706342319779909, -0.3091595181064174,
                       0.014662160097352614, 0.29449735800906474, 0.007644700999846808, 0.25315772869899406,
                       -0.26080242969884093}),
      three_rows_with("sum", {1, 0, 2}, {.reduction = Reduction::sum}, {4.498015437385189},
                      {0.25949646034241913, -0.2946154873017588, 0.03511902695933973, -0.9274785543192523,
                       0.043986480292057845, 0.8834920740271943, 0.022934102999540424, 0.7594731860969822,
                       -0.7824072890965228}),
      three_rows_with("smoothed", {1, 0, 2}, {.label_smoothing = 0.1}, {1.5326718124617298},
                      {0.0753877090030286, -0.07598294021169735, 0.0005952312086687999, -0.2869372958841952,
                       0.003551048986241505, 0.2833862468979537, -0.003466410111264304, 0.24204661758788296,
                       -0.2385802074766187}),
      three_rows_with("smoothed, weighted", {1, 0, 2}, {.label_smoothing = 0.2}, {1.412429803356683},
                      {0.06708943114871423, -0.039362667679566886, -0.027726763469147313,
                       -0.11068659554348374, -0.011088160709056199, 0.12177475625253992, 0.002489292047378319,
                       0.3787716689079431, -0.38126096095532147},
                      true),
      three_rows_with("smoothed, weighted, of each row", {1, 0, 2},
                      {.reduction = Reduction::none, .label_smoothing = 0.2},
                      {0.7939792906604592, 1.3617862069672662, 2.787738814120665},
                      {0.23481300902049979, -0.13776933687848406, -0.0970436721420156, -0.3874030844021931,
                       -0.0388085624816967, 0.4262116468838897, 0.008712522165824115, 1.3257008411778008,
                       -1.334413363343625},
                      true),
      three_rows_with("smoothed, a row ignored", {1, -100, 2}, {.label_smoothing = 0.2}, {1.1037379061745776},
                      {0.09641489683787624, -0.08064107698421275, -0.015773819853663468, 0, 0, 0,
                       -0.021866281833563123, 0.3464032597151578, -0.32453697788159475}),
      three_rows_with("smoothed, weighted, a row ignored", {1, 7, 2},
                      {.ignore_index = 7, .label_smoothing = 0.2}, {1.1939060349270414},
                      {0.07827100300683326, -0.04592311229282801, -0.032347890714005206, 0, 0, 0,
                       0.0029041740552747017, 0.4419002803926002, -0.444804454447875},
                      true),
  };
}

/// PyTorch's example of six logits, with the weights if asked for.
OpCase binary_with(std::string name, bool weighted, Reduction reduction, std::vector<double> expected,
                   std::vector<double> gradient) {
  const auto function = [weighted, reduction](const Vars& x) {
    const auto constant = [&](std::initializer_list<double> numbers, const Shape& shape) {
      return beside(x[0], Tensor::from(numbers, shape).to(x[0].dtype(), Tag::data));
    };
    BinaryCrossEntropyOptions options{.reduction = reduction};
    if (weighted) {
      options.weight = constant({0.5, 2}, {2, 1});
      options.pos_weight = constant({2, 0.5, 3}, {3});
    }
    return binary_cross_entropy_with_logits(x[0], constant({1, 0, 0.25, 1, 1, 0.5}, {2, 3}), options);
  };
  return {.name = "binary_cross_entropy_with_logits, " + std::move(name),
          .function = function,
          .inputs = {values({2, 3}, {1, -2, 0, 800, -800, 0.5})},
          .expected = std::move(expected),
          .expected_gradients = {std::move(gradient)}};
}

std::vector<OpCase> binary_literals() {
  return {
      binary_with("mean", false, Reduction::mean, {133.6429023105502},
                  {-0.04482357022833252, 0.019867153670352924, 0.041666666666666664, 0, -0.16666666666666666,
                   0.020409888533642433}),
      binary_with("sum", false, Reduction::sum, {801.8574138633012},
                  {-0.2689414213699951, 0.11920292202211755, 0.25, 0, -1, 0.1224593312018546}),
      binary_with("of each element", false, Reduction::none,
                  {0.31326168751822286, 0.1269280110429727, 0.6931471805599453, 0, 800, 0.7240769841801067},
                  {-0.2689414213699951, 0.11920292202211755, 0.25, 0, -1, 0.1224593312018546}),
      // The first weight is 0.5 and the first pos_weight 2: their product leaves the first loss as it was.
      binary_with(
          "weighted", true, Reduction::mean, {133.88214900253},
          {-0.04482357022833252, 0.009933576835176462, 0, 0, -0.16666666666666666, -0.08502711253209694}),
      binary_with("weighted, of each element", true, Reduction::none,
                  {0.31326168751822286, 0.06346400552148634, 0.5198603854199589, 0, 800, 2.3963079367204267},
                  {-0.2689414213699951, 0.05960146101105877, 0, 0, -1, -0.5101626751925816}),
  };
}

using PairLoss = Var (*)(const Var&, const Var&, Reduction);

OpCase pair_with(std::string name, PairLoss loss, Reduction reduction, std::vector<double> expected,
                 const std::vector<double>& gradient) {
  std::vector<double> negative;
  for (const double g : gradient) negative.push_back(-g);
  return {.name = std::move(name),
          .function = [=](const Vars& x) { return loss(x[0], x[1], reduction); },
          .inputs = {values({1, 3}, {1, -2, 0.5}), values({1, 3}, {1, 1, 0.25})},
          .expected = std::move(expected),
          .expected_gradients = {gradient, negative},
          .on_kinks = true};
}

std::vector<OpCase> pair_literals() {
  return {
      pair_with("l1_loss, literals", l1_loss, Reduction::mean, {3.25 / 3}, {0, -1.0 / 3, 1.0 / 3}),
      pair_with("l1_loss, sum", l1_loss, Reduction::sum, {3.25}, {0, -1, 1}),
      pair_with("l1_loss, of each element", l1_loss, Reduction::none, {0, 3, 0.25}, {0, -1, 1}),
      pair_with("mse_loss, literals", mse_loss, Reduction::mean, {9.0625 / 3}, {0, -2, 0.5 / 3}),
      pair_with("mse_loss, sum", mse_loss, Reduction::sum, {9.0625}, {0, -6, 0.5}),
      pair_with("mse_loss, of each element", mse_loss, Reduction::none, {0, 9, 0.0625}, {0, -6, 0.5}),
  };
}

/// Larger inputs, for the differences and for the threads.
std::vector<OpCase> sizes() {
  const auto plain = [](const Vars& x) { return cross_entropy(x[0], x[1].value()); };
  // Weights and targets are constants, not inputs: they get no gradient.
  const auto full = [](const Vars& x) {
    return cross_entropy(x[0], x[1].value(),
                         {.weight = beside(x[0], uniform({x[0].shape()[1]}, 0.5, 2, 3)(x[0].dtype())),
                          .ignore_index = 2,
                          .label_smoothing = 0.3});
  };
  const auto each = [](const Vars& x) {
    return cross_entropy(x[0], x[1].value(), {.reduction = Reduction::none, .label_smoothing = 0.3});
  };
  const auto binary = [](const Vars& x) {
    const Shape shape = x[0].shape();
    const DType dtype = x[0].dtype();
    const auto made = [&](const InputMaker& make) { return beside(x[0], make(dtype)); };
    return binary_cross_entropy_with_logits(x[0], made(uniform(shape, 0, 1, 2)),
                                            {.weight = made(uniform({shape[0], 1}, 0.5, 2, 3)),
                                             .pos_weight = made(uniform({shape[1]}, 0.5, 2, 4))});
  };
  std::vector<OpCase> rows = {
      {.name = "cross_entropy, literals",
       .function =
           [](const Vars& x) {
             return cross_entropy(x[0], beside(x[0], Tensor::from<std::int64_t>({1, 0}, {2})));
           },
       .inputs = {values({2, 2}, {0, 1.0986122886681098, 0, 0})},
       .expected = {0.49041462650586315},
       .expected_gradients = {{0.125, -0.125, -0.25, 0.25}}},
      {.name = "cross_entropy [1,1]", .function = plain, .inputs = {uniform({1, 1}), labels({1}, 1)}},
  };
  for (const Shape& shape : {Shape{7, 5}, Shape{3001, 10}}) {
    const InputMaker x = uniform(shape, -3, 3);
    const InputMaker label = labels({shape[0]}, shape[1]);
    rows.push_back({.name = text("cross_entropy ", shape), .function = plain, .inputs = {x, label}});
    rows.push_back({.name = text("cross_entropy ", shape, ", with all options"),
                    .function = full,
                    .inputs = {x, label}});
    rows.push_back(
        {.name = text("cross_entropy ", shape, " of each row"), .function = each, .inputs = {x, label}});
    rows.push_back(
        {.name = text("binary_cross_entropy_with_logits ", shape), .function = binary, .inputs = {x}});
    rows.push_back({.name = text("mse_loss ", shape),
                    .function = [](const Vars& v) { return mse_loss(v[0], v[1]); },
                    .inputs = {x, uniform(shape, -1, 1, 2)}});
    rows.push_back({.name = text("l1_loss ", shape),
                    .function = [](const Vars& v) { return l1_loss(v[0], v[1]); },
                    .inputs = {uniform(shape, 2, 3), uniform(shape, 0, 1, 2)}});
  }
  return rows;
}

}  // namespace

std::vector<OpCase> loss_cases() {
  std::vector<OpCase> rows;
  for (const auto family : {&cross_entropy_literals, &binary_literals, &pair_literals, &sizes})
    for (OpCase& row : family()) rows.push_back(std::move(row));
  return rows;
}

}  // namespace retrace::test

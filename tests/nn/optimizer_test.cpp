#include <retrace/core/error.h>
#include <retrace/core/threads.h>
#include <retrace/nn/optimizer.h>

#include <functional>
#include <limits>
#include <memory>

#include "../support/catch.h"
#include "../support/rounding.h"

using namespace retrace;
using test::roundings;

namespace {

const std::vector<std::vector<double>> kGradients = {
    {0.1, -0.4, 2.0}, {0.3, 0.2, -1.0}, {-0.5, 0.0, 0.25}, {0.05, -0.1, 3.0}};

Parameter begin() { return Parameter(Tensor::from<double>({1.0, -2.0, 0.5}, {3})); }

void set_grad(Parameter& p, const std::vector<double>& values) {
  p.zero_grad();
  p.accumulate_grad(
      Tensor::from(std::span<const double>(values), p.shape()).to(p.value().dtype(), Tag::gradient));
}

using Make = std::function<std::unique_ptr<Optimizer>(std::vector<Parameter*>)>;

template <class O, class Options>
Make make(const Options& options) {
  return
      [=](std::vector<Parameter*> parameters) { return std::make_unique<O>(std::move(parameters), options); };
}

/// Steps `from` to `to` of an optimizer along kGradients.
void run(Optimizer& optimizer, Parameter& p, std::size_t from, std::size_t to) {
  for (std::size_t step = from; step < to; ++step) {
    set_grad(p, kGradients[step]);
    optimizer.step();
  }
}

/// Four steps of about ten operations each.
constexpr double kRoundings = 40;

/// Four steps give `expected`, f32 rounds to the same, and two steps + state + two steps are bit-equal to
/// four.
void check_steps(const Make& make_optimizer, const std::vector<double>& expected) {
  Parameter p = begin();
  const auto optimizer = make_optimizer({&p});
  run(*optimizer, p, 0, 4);
  const auto values = p.value().to_vector<double>();
  CHECK(roundings(p.value(), expected) <= kRoundings);

  Parameter narrow(begin().value().to(DType::f32, Tag::parameter));
  const auto narrow_optimizer = make_optimizer({&narrow});
  run(*narrow_optimizer, narrow, 0, 4);
  CHECK(roundings(narrow.value(), expected) <= kRoundings);

  Parameter first = begin();
  const auto before = make_optimizer({&first});
  run(*before, first, 0, 2);
  Parameter second = first;
  const auto after = make_optimizer({&second});
  after->load_state(before->state());
  run(*after, second, 2, 4);
  CHECK(second.value().to_vector<double>() == values);
}

std::vector<std::string> names_of(const std::vector<Named<Tensor>>& state) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state) names.push_back(name);
  return names;
}

}  // namespace

// The numbers below come from a script (Python's floats) that computes the formulas of PyTorch's
// documentation in their order, element by element.

TEST_CASE("SGD", "[optimizer]") {
  check_steps(make<SGD>(SgdOptions{.lr = 0.1}), {1.0050000000000001, -1.97, 0.07499999999999996});
  check_steps(make<SGD>(SgdOptions{.lr = 0.1, .weight_decay = 0.01}),
              {1.001045936011, -1.962091892042, 0.07342749820049999});
  check_steps(make<SGD>(SgdOptions{.lr = 0.1, .momentum = 0.9}), {0.97431, -1.90664, -0.2643000000000001});
  check_steps(make<SGD>(SgdOptions{.lr = 0.1, .momentum = 0.9, .dampening = 0.25, .weight_decay = 0.01}),
              {0.9646016491577657, -1.8805439679489686, -0.24783930204197663});
  check_steps(make<SGD>(SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true}),
              {0.970101247972053, -1.8623658639387481, -0.615787179301214});
}

TEST_CASE("Adam", "[optimizer]") {
  check_steps(make<Adam>(AdamOptions{}), {0.9983255038722896, -1.998236233337458, 0.4978575288995804});
  check_steps(
      make<Adam>(AdamOptions{.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.01}),
      {0.8368528394778858, -1.816699098226439, 0.2907809897663138});
}

TEST_CASE("AdamW", "[optimizer]") {  // PyTorch's own numbers
  check_steps(make<AdamW>(AdamWOptions{}), {0.9982855512183695, -1.9981562719226564, 0.497837567282439});
  const AdamWOptions options{.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.3};
  const std::vector<double> expected = {0.7418315361512012, -1.6177614339692934, 0.24479897845573448};
  check_steps(make<AdamW>(options), expected);
  check_steps(make<Adam>(AdamOptions{.lr = 0.1,
                                     .beta1 = 0.8,
                                     .beta2 = 0.95,
                                     .eps = 1e-3,
                                     .weight_decay = 0.3,
                                     .decoupled_weight_decay = true}),
              expected);
}

TEST_CASE("AdamW's state is Adam's", "[optimizer]") {
  Parameter p = begin();
  AdamW written({&p});
  run(written, p, 0, 2);
  Adam read({&p}, {.decoupled_weight_decay = true});
  read.load_state(written.state());
  CHECK(names_of(read.state()) == names_of(written.state()));
  CHECK(ledger().alive(Tag::optimizer).front().op == "adamw");
}

TEST_CASE("RMSprop", "[optimizer]") {
  check_steps(make<RMSprop>(RmspropOptions{}), {0.8812558797825133, -1.9227854518995218, 0.3532912857294841});
  const RmspropOptions options{.lr = 0.05, .alpha = 0.9, .eps = 1e-3, .weight_decay = 0.01, .momentum = 0.5};
  check_steps(make<RMSprop>(options), {0.6362446132970532, -1.7642844451339772, 0.17045845525434625});
  RmspropOptions centered = options;
  centered.centered = true;
  check_steps(make<RMSprop>(centered), {0.5989022210042177, -1.7485187508014544, 0.14651024976533694});
}

TEST_CASE("parameters without a gradient stay, and have steps of their own", "[optimizer]") {
  Parameter a = begin();
  Parameter b = begin();
  Parameter alone = begin();
  Adam both({&a, &b});
  Adam one({&alone});
  const Counter counter(Tag::optimizer);

  run(both, a, 0, 2);
  CHECK(b.value().to_vector<double>() == begin().value().to_vector<double>());
  CHECK(counter.live() == 2 * kBlockAlignment);  // two tensors of 3 f64 for a, none for b
  CHECK(names_of(both.state()) == std::vector<std::string>{"step", "exp_avg.0", "exp_avg_sq.0"});

  a.zero_grad();
  run(both, b, 0, 1);
  run(one, alone, 0, 1);
  CHECK(b.value().to_vector<double>() == alone.value().to_vector<double>());
  CHECK(names_of(both.state()) ==
        std::vector<std::string>{"step", "exp_avg.0", "exp_avg.1", "exp_avg_sq.0", "exp_avg_sq.1"});
  CHECK(both.state().front().second.to_vector<std::int64_t>() == std::vector<std::int64_t>{2, 1});
}

TEST_CASE("an optimizer keeps no state that it does not need", "[optimizer]") {
  Parameter p = begin();
  const Counter counter(Tag::optimizer);
  SGD plain({&p}, {.lr = 0.1});
  run(plain, p, 0, 1);
  CHECK(counter.live() == 0);
  SGD momentum({&p}, {.lr = 0.1, .momentum = 0.9});
  CHECK(counter.live() == 0);
  run(momentum, p, 0, 1);
  CHECK(counter.live() == kBlockAlignment);
  CHECK(ledger().alive(Tag::optimizer).back().op == "sgd");
}

TEST_CASE("the learning rate may change between steps", "[optimizer]") {
  Parameter p = begin();
  SGD optimizer({&p}, {.lr = 0.1});
  CHECK(optimizer.lr() == 0.1);
  optimizer.set_lr(0.5);
  CHECK(optimizer.lr() == 0.5);
  set_grad(p, {1, 2, 4});
  optimizer.step();
  CHECK(p.value().to_vector<double>() == std::vector<double>{0.5, -3, -1.5});
  optimizer.zero_grad();
  CHECK_FALSE(p.has_grad());
  CHECK_THROWS_AS(optimizer.set_lr(-1), ArgumentError);
  CHECK_THROWS_WITH(optimizer.set_lr(-1), "[sgd] lr must be at least 0, got -1");
}

TEST_CASE("a step that cannot be made changes nothing", "[optimizer]") {
  Parameter a = begin();
  Parameter b = begin();
  SGD optimizer({&a, &b}, {.lr = 0.1, .momentum = 0.9});

  SECTION("after a backward that failed") {
    set_grad(a, kGradients[0]);
    set_grad(b, kGradients[0]);
    b.invalidate_grad("backward failed in conv2d");
    CHECK_THROWS_AS(optimizer.step(), GradientError);
  }
  SECTION("without memory") {
    set_grad(a, kGradients[0]);
    set_grad(b, kGradients[0]);
    allocator().flush();
    ledger().set_budget(ledger().live() + kBlockAlignment);
    CHECK_THROWS_AS(optimizer.step(), OutOfMemoryError);
    ledger().set_budget(0);
  }
  CHECK(a.value().to_vector<double>() == begin().value().to_vector<double>());
  CHECK(names_of(optimizer.state()) == std::vector<std::string>{"step"});
  CHECK(optimizer.state().front().second.to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 0});
}

TEST_CASE("a parameter that was converted since the last step", "[optimizer]") {
  Parameter p = begin();
  SGD optimizer({&p}, {.lr = 0.1, .momentum = 0.9});
  run(optimizer, p, 0, 1);
  p.value() = p.value().to(DType::f32, Tag::parameter);
  set_grad(p, kGradients[1]);
  const auto before = p.value().to_vector<double>();
  CHECK_THROWS_AS(optimizer.step(), DTypeError);
  CHECK_THROWS_WITH(optimizer.step(),
                    "[sgd] the state momentum_buffer.0 must have its parameter's element type f32, got f64");
  CHECK(p.value().to_vector<double>() == before);
}

TEST_CASE("options out of range", "[optimizer]") {
  Parameter p = begin();
  const std::vector<Parameter*> one = {&p};
  CHECK_THROWS_AS(SGD({}), ArgumentError);
  CHECK_THROWS_WITH(SGD({}), "[sgd] there must be at least one parameter, got none");
  CHECK_THROWS_WITH(Adam({&p, &p}), "[adam] each parameter must be given once, got one twice");
  CHECK_THROWS_WITH(SGD(one, {.lr = -0.1}), "[sgd] lr must be at least 0, got -0.1");
  CHECK_THROWS_WITH(SGD(one, {.lr = std::numeric_limits<double>::quiet_NaN()}),
                    "[sgd] lr must be at least 0, got nan");
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(SGD(one, {.lr = kInf}), "[sgd] lr must be finite, got inf");
  CHECK_THROWS_WITH(SGD(one, {.momentum = kInf}), "[sgd] momentum must be finite, got inf");
  CHECK_THROWS_WITH(SGD(one, {.momentum = 0.9, .dampening = kNan}),
                    "[sgd] dampening must be finite, got nan");
  CHECK_THROWS_WITH(SGD(one, {.weight_decay = kInf}), "[sgd] weight_decay must be finite, got inf");
  CHECK_THROWS_WITH(Adam(one, {.eps = kInf}), "[adam] eps must be finite, got inf");
  CHECK_THROWS_WITH(AdamW(one, {.weight_decay = kNan}), "[adamw] weight_decay must be at least 0, got nan");
  CHECK_THROWS_WITH(RMSprop(one, {.alpha = 2}), "[rmsprop] alpha must be in [0,1], got 2");
  CHECK_THROWS_WITH(SGD(one, {.momentum = -1}), "[sgd] momentum must be at least 0, got -1");
  CHECK_THROWS_WITH(SGD(one, {.weight_decay = -1}), "[sgd] weight_decay must be at least 0, got -1");
  CHECK_THROWS_WITH(
      SGD(one, {.momentum = 0.5, .dampening = 0.5, .nesterov = true}),
      "[sgd] Nesterov's momentum must have a momentum above 0 and no dampening, got momentum 0.5 and "
      "dampening 0.5");
  CHECK_THROWS_WITH(Adam(one, {.beta1 = 1}), "[adam] beta1 must be in [0,1), got 1");
  CHECK_THROWS_WITH(Adam(one, {.beta2 = -0.5}), "[adam] beta2 must be in [0,1), got -0.5");
  CHECK_THROWS_WITH(Adam(one, {.eps = -1}), "[adam] eps must be at least 0, got -1");
  CHECK_THROWS_WITH(AdamW(one, {.beta1 = 1}), "[adamw] beta1 must be in [0,1), got 1");
  CHECK_THROWS_WITH(AdamW(one, {.weight_decay = -1}), "[adamw] weight_decay must be at least 0, got -1");
  CHECK_THROWS_WITH(RMSprop(one, {.alpha = -1}), "[rmsprop] alpha must be in [0,1], got -1");
  CHECK_THROWS_WITH(RMSprop(one, {.momentum = -1}), "[rmsprop] momentum must be at least 0, got -1");
}

TEST_CASE("a state that does not fit is refused", "[optimizer]") {
  Parameter p = begin();
  SGD written({&p}, {.lr = 0.1, .momentum = 0.9});
  run(written, p, 0, 2);
  const std::vector<Named<Tensor>> good = written.state();
  std::vector<Named<Tensor>> state = good;
  Parameter q = begin();
  SGD read({&q}, {.lr = 0.1, .momentum = 0.9});
  const auto check_refused = [&](const std::string& text) {
    CHECK_THROWS_WITH(read.load_state(state), text);
    CHECK(read.state().size() == 1);
  };

  SECTION("no steps") {
    state.erase(state.begin());
    CHECK_THROWS_AS(read.load_state(state), ArgumentError);
    check_refused("[sgd] the state must have 'step', got none");
  }
  SECTION("steps of another number of parameters") {
    state[0].second = Tensor::zeros({2}, DType::i64);
    CHECK_THROWS_AS(read.load_state(state), ShapeError);
    check_refused("[sgd] the state step must be i64 [1], got i64 [2]");
  }
  SECTION("negative steps") {
    state[0].second = Tensor::from<std::int64_t>({-1}, {1});
    check_refused("[sgd] the steps of a parameter must be in [0,2^53], got -1");
  }
  SECTION("steps that the next one would overflow") {
    state[0].second = Tensor::from<std::int64_t>({std::numeric_limits<std::int64_t>::max()}, {1});
    check_refused("[sgd] the steps of a parameter must be in [0,2^53], got 9223372036854775807");
  }
  SECTION("a missing tensor") {
    state.pop_back();
    check_refused("[sgd] the state must have 'momentum_buffer.0', got none");
  }
  SECTION("a tensor too much") {
    state.emplace_back("exp_avg.0", state[1].second);
    check_refused("[sgd] the state must have what this optimizer keeps, got 'exp_avg.0' too");
  }
  SECTION("a tensor twice") {
    state.push_back(state[1]);
    check_refused("[sgd] the state must have each name once, got 'momentum_buffer.0' twice");
  }
  SECTION("another shape") {
    state[1].second = Tensor::zeros({4}, DType::f64);
    CHECK_THROWS_AS(read.load_state(state), ShapeError);
    check_refused("[sgd] the state momentum_buffer.0 must have its parameter's shape [3], got [4]");
  }
  SECTION("another element type") {
    state[1].second = Tensor::zeros({3}, DType::f32);
    CHECK_THROWS_AS(read.load_state(state), DTypeError);
    check_refused("[sgd] the state momentum_buffer.0 must have its parameter's element type f64, got f32");
  }
  read.load_state(good);
  CHECK(read.state()[1].second.to_vector<double>() == good[1].second.to_vector<double>());
  CHECK_FALSE(read.state()[1].second.shares_storage(good[1].second));
}

TEST_CASE("steps do not depend on the number of threads", "[optimizer]") {
  const Shape shape{50'001};
  std::vector<double> values(50'001);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % 97) / 50 - 1;
  const int before = num_threads();
  std::vector<std::vector<double>> results;
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    Parameter p(Tensor::from(std::span<const double>(values), shape).to(DType::f32, Tag::parameter));
    Adam adam({&p}, {.lr = 0.1, .weight_decay = 0.1});
    for (int step = 0; step < 3; ++step) {
      set_grad(p, values);
      adam.step();
    }
    results.push_back(p.value().to_vector<double>());
  }
  set_num_threads(before);
  CHECK(results[0] == results[1]);
}

TEST_CASE("parameters of both element types and of any size make one step", "[optimizer]") {
  constexpr std::int64_t kMany = 40'000;  // more than one task's
  Parameter narrow(Tensor::full({kMany}, 1, DType::f32, Tag::parameter));
  Parameter wide(Tensor::full({2}, 1, DType::f64, Tag::parameter));
  for (Parameter* p : {&narrow, &wide})
    p->accumulate_grad(Tensor::full(p->shape(), 0.5, p->value().dtype(), Tag::gradient));
  SGD sgd({&narrow, &wide}, {.lr = 0.25});
  sgd.step();
  CHECK(narrow.value().to_vector<float>() == std::vector<float>(kMany, 0.875F));
  CHECK(wide.value().to_vector<double>() == std::vector<double>(2, 0.875));
}

TEST_CASE("parameters may end before their optimizer", "[optimizer]") {
  std::unique_ptr<SGD> sgd;
  Tensor w;
  {
    Parameter parameter(Tensor::full({1}, 2, DType::f64));
    w = parameter.value();
    sgd = std::make_unique<SGD>(std::vector<Parameter*>{&parameter}, SgdOptions{.lr = 0.5});
    parameter.accumulate_grad(Tensor::full({1}, 1, DType::f64));
  }
  sgd->step();
  CHECK(w.item() == 1.5);
}

TEST_CASE("without weight decay an infinite parameter stays infinite", "[optimizer]") {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<Make> makes = {make<SGD>(SgdOptions{}), make<SGD>(SgdOptions{.momentum = 0.9}),
                                   make<Adam>(AdamOptions{}), make<RMSprop>(RmspropOptions{})};
  for (const Make& make_optimizer : makes) {
    Parameter p(Tensor::from<double>({infinity, 1}, {2}));
    set_grad(p, {1, 1});
    make_optimizer({&p})->step();
    CHECK(p.value().to_vector<double>()[0] == infinity);
  }
}

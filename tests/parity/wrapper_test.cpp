#include <retrace/revnet/is_invertible.h>
#include <retrace/revnet/wrapper.h>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

TEST_CASE("[P28] a module with two outputs and one with two inputs around ordinary convolutions", "[P28]") {
  const auto fork = std::make_shared<SplitChannels>(2);
  const auto join = std::make_shared<Inverse>(std::make_shared<SplitChannels>(2));
  CHECK(is_invertible_module(InvertibleModuleWrapper(fork), Shape{1, 3, 32, 32}));
  CHECK(is_invertible_module(InvertibleModuleWrapper(join), {Shape{1, 2, 32, 32}, Shape{1, 1, 32, 32}}));

  manual_seed(42);
  Conv2d conv_a(2, 2, {.kernel = 3});
  Conv2d conv_b(1, 1, {.kernel = 3});
  const auto run = [&](bool disable) {
    InvertibleModuleWrapper split(fork, {.disable = disable});
    InvertibleModuleWrapper concat(join, {.disable = disable});
    conv_a.zero_grad();
    conv_b.zero_grad();
    Tape tape;
    const Var x = tape.watch(uniform({1, 3, 32, 32}, 42));
    const Vars parts = split(Vars{x});
    CHECK(x.value().storage().released() == !disable);
    const Var y = concat(Vars{conv_a(parts[0]), conv_b(parts[1])}).front();
    CHECK(y.shape() == Shape{1, 3, 30, 30});
    tape.backward(sum(y));
    CHECK(bit_equal(x.value(), uniform({1, 3, 32, 32}, 42)));
    return Tensors{tape.grad(x), conv_a.weight().grad().clone(Tag::data),
                   conv_b.weight().grad().clone(Tag::data)};
  };
  const Tensors plain = run(true);
  const Tensors wrapped = run(false);
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(bit_equal(wrapped[i], plain[i]));
}

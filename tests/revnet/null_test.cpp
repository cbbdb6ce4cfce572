#include <retrace/nn/sequential.h>
#include <retrace/revnet/adapters.h>
#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/reversible_block.h>
#include <retrace/revnet/sequence.h>
#include <retrace/revnet/stage.h>
#include <retrace/revnet/wrapper.h>

#include "../support/catch.h"
#include "../support/throws.h"

using namespace retrace;
using retrace::test::check_throws;

TEST_CASE("modules that are null are refused where they are given", "[null]") {
  const std::shared_ptr<Module> none;
  const std::shared_ptr<InvertibleModule> no_fn;
  const Var x = Tensor::zeros({1, 2}, DType::f64);
  check_throws<ArgumentError>([&] { return Inverse(no_fn); }, "[Inverse] fn must not be null");
  check_throws<ArgumentError>([&] { return checkpoint(none, x); }, "[checkpoint] module must not be null");
  check_throws<ArgumentError>([&] { return checkpoint(none, Vars{x}); },
                              "[checkpoint] module must not be null");
  check_throws<ArgumentError>([&] { return Stage({none}, {}); }, "[Stage] no block may be null");
  check_throws<ArgumentError>([&] { return Stage({}, {no_fn}); },
                              "[InvertibleSequence] every block must be a module, got an empty pointer");
  check_throws<ArgumentError>([&] { return AffineAdapterNaive(none); },
                              "[AffineAdapterNaive] f must not be null");
  check_throws<ArgumentError>([&] { return AffineAdapterSigmoid(none); },
                              "[AffineAdapterSigmoid] f must not be null");
  check_throws<ArgumentError>([&] { return AffineCoupling(none, none, adapter<AffineAdapterNaive>()); },
                              "[AffineCoupling] F must be a module, got none");
  check_throws<ArgumentError>([&] { return AdditiveCoupling(none); },
                              "[AdditiveCoupling] F must be a module, got none");
  check_throws<ArgumentError>([&] { return InvertibleModuleWrapper(no_fn); },
                              "[InvertibleModuleWrapper] fn must be a module, got an empty pointer");
}

TEST_CASE("blocks of a sequence are counted", "[null]") {
  const InvertibleSequence blocks({std::make_shared<AdditiveCoupling>(std::make_shared<Sequential>())});
  CHECK(blocks.block(0) != nullptr);
  check_throws<ArgumentError>([&] { return blocks.block(1); },
                              "[InvertibleSequence] a block's number must be below 1, got 1");
}

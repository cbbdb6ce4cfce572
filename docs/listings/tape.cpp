// Chapter 1: reverse-mode differentiation of numbers in about a hundred lines, without retrace.
// [variable]
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <utility>
#include <vector>

using Numbers = std::vector<double>;

/// A number, and its place on the tape.
struct Var {
  double value;
  std::size_t place;
};
// [/variable]

// [node]
/// What backward calls: dy, and the numbers that were saved, to a gradient for each input.
using Derivative = std::function<Numbers(double dy, const Numbers& saved)>;

/// One step that ran: where its inputs and its output are, what it saved, and how to go back.
struct Node {
  std::vector<std::size_t> inputs;
  std::size_t output;
  Numbers saved;
  Derivative derivative;
};
// [/node]

// [tape]
/// The steps of one forward pass, in the order in which they ran.
class Tape {
 public:
  /// A number that did not come out of a step.
  Var watch(double value) {
    gradients_.push_back(0);
    return {value, gradients_.size() - 1};
  }

  Var record(const std::vector<Var>& inputs, double y, Numbers saved, Derivative derivative) {
    const Var output = watch(y);
    std::vector<std::size_t> places;
    for (const Var& x : inputs) places.push_back(x.place);
    nodes_.push_back({places, output.place, std::move(saved), std::move(derivative)});
    return output;
  }
  // [/tape]

  // [backward]
  /// Eats the tape from its end. Afterwards `gradient(x)` is dy/dx of every x that y depends on.
  void backward(const Var& y) {
    gradients_[y.place] = 1;
    for (; !nodes_.empty(); nodes_.pop_back()) {
      const Node& node = nodes_.back();
      const Numbers dx = node.derivative(gradients_[node.output], node.saved);
      for (std::size_t i = 0; i < dx.size(); ++i) gradients_[node.inputs[i]] += dx[i];
    }
  }

  double gradient(const Var& x) const { return gradients_[x.place]; }

  /// How many numbers wait for the way back.
  std::size_t saved() const {
    std::size_t count = 0;
    for (const Node& node : nodes_) count += node.saved.size();
    return count;
  }

 private:
  std::vector<Node> nodes_;
  Numbers gradients_;  // by place
};
// [/backward]

// [operations]
Var add(Tape& tape, const Var& a, const Var& b) {
  return tape.record({a, b}, a.value + b.value, {}, [](double dy, const Numbers&) -> Numbers {
    return {dy, dy};
  });
}

Var multiply(Tape& tape, const Var& a, const Var& b) {
  return tape.record({a, b}, a.value * b.value, {a.value, b.value},
                     [](double dy, const Numbers& saved) -> Numbers {
                       return {dy * saved[1], dy * saved[0]};
                     });
}

Var tanh(Tape& tape, const Var& x) {
  const double y = std::tanh(x.value);
  return tape.record({x}, y, {y}, [](double dy, const Numbers& saved) -> Numbers {
    return {dy * (1 - saved[0] * saved[0])};
  });
}
// [/operations]

// [main]
/// h_0 = x, h_n = h_(n-1) + tanh(a h_(n-1)): a residual network whose layers are one number wide.
Var network(Tape& tape, const Var& x, const Var& a, int layers) {
  Var h = x;
  for (int n = 0; n < layers; ++n) h = add(tape, h, tanh(tape, multiply(tape, a, h)));
  return h;
}

int main() {
  for (const int layers : {1, 10, 100}) {
    Tape tape;
    const Var x = tape.watch(0.5);
    const Var a = tape.watch(0.02);
    const Var y = network(tape, x, a, layers);
    const std::size_t saved = tape.saved();
    tape.backward(y);

    constexpr double kStep = 1e-6;
    const auto value_at = [&](double shifted) {
      Tape other;
      return network(other, other.watch(shifted), other.watch(0.02), layers).value;
    };
    const double difference = (value_at(0.5 + kStep) - value_at(0.5 - kStep)) / (2 * kStep);
    std::printf("%3d layers: y = %.6f, dy/dx = %.6f (by differences %.6f), %3zu numbers saved\n", layers,
                y.value, tape.gradient(x), difference, saved);
  }
}
// [/main]

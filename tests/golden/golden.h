#pragma once
#include <retrace/nn/module.h>
#include <retrace/nn/safetensors.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace retrace::test {

/// One file of golden values (see README.md): tensors under `CASE/KIND/NAME`.
class GoldenFile {
 public:
  /// `layers` for layers.safetensors.
  explicit GoldenFile(const std::string& family);

  std::set<std::string> cases() const;
  /// Where a case's values come from, and the version of PyTorch that computed them.
  std::string source_of(const std::string& name) const;
  /// The tensors of one case, by `KIND/NAME`.
  std::map<std::string, Tensor> tensors_of(const std::string& name) const;

 private:
  TensorFile file_;
};

/// Roundings of a layer, a coupling or some steps of an optimizer: each number takes some hundred operations,
/// in PyTorch's order or in ours.
inline constexpr double kLayer = 160;

/// One case in one element type: what goes in, and comparisons with what must come out.
class GoldenCase {
 public:
  GoldenCase(const GoldenFile& file, std::string name, DType dtype);

  bool has(const std::string& kind, const std::string& name) const;
  /// An input, converted to the case's element type unless it holds integers; fails when there is none.
  Tensor take(const std::string& kind, const std::string& name);
  /// All of one kind, by NAME, as they are stored.
  std::vector<Named<Tensor>> stored(const std::string& kind);
  /// Gives a module the values of `param` and `buffer` and the case's element type.
  void load(Module& module);

  /// The error, in the norm of all elements, is at most so many roundings of the expected tensor's norm.
  void check(const std::string& kind, const std::string& name, const Tensor& got, double allowed = kLayer);
  /// The same for the gradients (`grad`), or the values, of all parameters, and for all buffers (`after`).
  void check_gradients(Module& module);
  void check_parameters(const std::string& kind, Module& module);
  void check_buffers(Module& module);
  /// No value of the case is left over.
  void check_all_used() const;

  DType dtype() const { return dtype_; }
  const std::string& name() const { return name_; }

 private:
  const Tensor& find(const std::string& kind, const std::string& name);

  std::string name_;
  DType dtype_;
  std::map<std::string, Tensor> tensors_;
  std::set<std::string> used_;
};

/// sqrt(sum of squares).
double norm(const std::vector<double>& values);

/// Calls `f(case)` for a case in f64 and in f32, and requires that it looks at all of its values.
template <class F>
void in_both_types(const GoldenFile& file, const std::string& name, const F& f) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    GoldenCase golden(file, name, dtype);
    f(golden);
    golden.check_all_used();
  }
}

}  // namespace retrace::test

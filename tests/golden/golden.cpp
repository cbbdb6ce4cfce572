#include "golden.h"

#include <retrace/nn/weights.h>

#include <cmath>

#include "../support/catch.h"
#include "../support/rounding.h"

namespace retrace::test {

namespace {

std::string case_of(const std::string& path) { return path.substr(0, path.find('/')); }

}  // namespace

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum);
}

GoldenFile::GoldenFile(const std::string& family)
    : file_(load_tensors(RETRACE_SOURCE_ROOT "/tests/golden/" + family + ".safetensors")) {}

std::set<std::string> GoldenFile::cases() const {
  std::set<std::string> names;
  for (const auto& [path, tensor] : file_.tensors) names.insert(case_of(path));
  return names;
}

std::string GoldenFile::source_of(const std::string& name) const {
  return file_.metadata.at("source of " + name) + ", torch " + file_.metadata.at("torch");
}

std::map<std::string, Tensor> GoldenFile::tensors_of(const std::string& name) const {
  std::map<std::string, Tensor> tensors;
  for (const auto& [path, tensor] : file_.tensors)
    if (case_of(path) == name) tensors[path.substr(name.size() + 1)] = tensor;
  return tensors;
}

GoldenCase::GoldenCase(const GoldenFile& file, std::string name, DType dtype)
    : name_(std::move(name)), dtype_(dtype), tensors_(file.tensors_of(name_)) {
  INFO("case " << name_ << ": " << file.source_of(name_));
  REQUIRE_FALSE(tensors_.empty());
}

bool GoldenCase::has(const std::string& kind, const std::string& name) const {
  return tensors_.count(kind + "/" + name) > 0;
}

const Tensor& GoldenCase::find(const std::string& kind, const std::string& name) {
  const auto found = tensors_.find(kind + "/" + name);
  if (found == tensors_.end()) FAIL(name_ << " has no " << kind << "/" << name);
  used_.insert(found->first);
  return found->second;
}

Tensor GoldenCase::take(const std::string& kind, const std::string& name) {
  const Tensor& stored = find(kind, name);
  return is_float(stored.dtype()) ? stored.to(dtype_, Tag::data) : stored.clone(Tag::data);
}

std::vector<Named<Tensor>> GoldenCase::stored(const std::string& kind) {
  std::vector<Named<Tensor>> result;
  for (const auto& [path, tensor] : tensors_)
    if (case_of(path) == kind) {
      used_.insert(path);
      result.emplace_back(path.substr(kind.size() + 1), tensor);
    }
  return result;
}

void GoldenCase::load(Module& module) {
  std::vector<Named<Tensor>> state = stored("param");
  for (Named<Tensor>& buffer : stored("buffer")) state.push_back(std::move(buffer));
  module.to(DType::f64);
  load_state_dict(module, state);
  module.to(dtype_);
}

void GoldenCase::check(const std::string& kind, const std::string& name, const Tensor& got, double allowed) {
  INFO(name_ << ": " << kind << "/" << name << " in " << name_of(dtype_));
  const Tensor& expected = find(kind, name);
  REQUIRE(got.defined());
  REQUIRE(got.shape() == expected.shape());
  CHECK(got.dtype() == (is_float(expected.dtype()) ? dtype_ : expected.dtype()));
  const std::vector<double> values = expected.to_vector<double>();
  std::vector<double> difference = got.to_vector<double>();
  for (std::size_t i = 0; i < values.size(); ++i) difference[i] -= values[i];
  // An f32 run starts from the same numbers, so what it is off by is rounding.
  const double error = norm(difference);
  CHECK((error == 0 ? 0 : error / (unit_roundoff(dtype_) * norm(values))) <= allowed);
}

void GoldenCase::check_gradients(Module& module) {
  for (const auto& [name, parameter] : module.named_parameters()) check("grad", name, parameter->grad());
}

void GoldenCase::check_parameters(const std::string& kind, Module& module) {
  for (const auto& [name, parameter] : module.named_parameters()) check(kind, name, parameter->value());
}

void GoldenCase::check_buffers(Module& module) {
  for (const auto& [name, buffer] : module.named_buffers()) check("after", name, *buffer);
}

void GoldenCase::check_all_used() const {
  for (const auto& [path, tensor] : tensors_) {
    INFO(name_ << ": " << path << " is compared with nothing");
    CHECK(used_.count(path) == 1);
  }
}

}  // namespace retrace::test

#include <retrace/autograd/reads.h>
#include <retrace/autograd/record.h>

#include <utility>

namespace retrace::detail {

namespace {

thread_local ReadLog* innermost_log = nullptr;

bool is_state(const Tensor& x) {
  return x.defined() && (x.storage().tag() == Tag::parameter || x.storage().tag() == Tag::buffer);
}

}  // namespace

ReadLog::ReadLog() : outer_(std::exchange(innermost_log, this)) {}

ReadLog::~ReadLog() { innermost_log = outer_; }

void note_reads(const Vars& inputs) {
  if (innermost_log == nullptr) return;
  for (const Var& x : inputs)
    if (is_state(x.value())) innermost_log->note(x.value().storage());
}

}  // namespace retrace::detail

#pragma once
#include <retrace/autograd/tape.h>

#include <cstddef>
#include <vector>

namespace retrace::test {

/// Which of the tensors that the last node on the tape can save it does save.
inline std::vector<bool> saved_flags(const Tape& tape) {
  std::vector<bool> flags;
  for (const SavedTensor& s : tape.saved()) flags.push_back(s.tensor.defined());
  return flags;
}

}  // namespace retrace::test

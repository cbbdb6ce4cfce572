#pragma once
#include <retrace/autograd/parameter.h>

#include <vector>

namespace retrace {

/// Scales all gradients by min(1, max_norm / (norm + 1e-6)), where norm is the Euclidean norm of all of them
/// taken as one vector, and returns the norm that it was. No square overflows or underflows on the way. A
/// norm that is not finite makes all gradients NaN, so that it is seen (PyTorch turns finite ones into 0
/// where the norm is infinite). Throws ArgumentError for a negative max_norm and for a null parameter, and
/// GradientError after a backward that failed. Pascanu, Mikolov, Bengio: "On the difficulty of training
/// recurrent neural networks", ICML 2013.
double clip_grad_norm(const std::vector<Parameter*>& parameters, double max_norm);

/// Clamps each element of the gradients to [-limit, limit]; a NaN stays. Throws ArgumentError for a negative
/// limit and for a null parameter, and GradientError after a backward that failed.
void clip_grad_value(const std::vector<Parameter*>& parameters, double limit);

}  // namespace retrace

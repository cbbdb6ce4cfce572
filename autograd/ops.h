#pragma once
// Every differentiable operation.
#include <retrace/autograd/ops/elementwise.h>

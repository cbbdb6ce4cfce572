#include "../support/catch.h"

#include <retrace/autograd/gradient_check.h>
#include <retrace/autograd/ops.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

using namespace retrace;

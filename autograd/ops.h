#pragma once
// Every differentiable operation.
#include <retrace/autograd/ops/activation.h>
#include <retrace/autograd/ops/batch_norm.h>
#include <retrace/autograd/ops/conv2d.h>
#include <retrace/autograd/ops/copy.h>
#include <retrace/autograd/ops/elementwise.h>
#include <retrace/autograd/ops/embedding.h>
#include <retrace/autograd/ops/group_norm.h>
#include <retrace/autograd/ops/loss.h>
#include <retrace/autograd/ops/matmul.h>
#include <retrace/autograd/ops/pool.h>
#include <retrace/autograd/ops/random.h>
#include <retrace/autograd/ops/reduce.h>
#include <retrace/autograd/ops/softmax.h>

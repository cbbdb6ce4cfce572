#pragma once
// Losses are functions: cross_entropy(logits, labels) and mse_loss(x, y).
#include <retrace/autograd/ops/loss.h>

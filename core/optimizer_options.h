#pragma once

namespace retrace {

/// Stochastic gradient descent. Sutskever et al.: "On the importance of initialization and momentum", ICML
/// 2013.
struct SgdOptions {
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;  ///< takes this part of the gradient out of the momentum
  double weight_decay = 0;
  bool nesterov = false;
};

/// Kingma, Ba: "Adam", ICLR 2015.
struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;              ///< added to the gradient
  bool decoupled_weight_decay = false;  ///< instead takes lr weight_decay p from the parameter, as AdamW does
};

/// Loshchilov, Hutter: "Decoupled weight decay regularization", ICLR 2019.
struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-2;
};

/// Hinton's lecture 6e, 2012; `centered` after Graves: "Generating sequences with recurrent neural networks",
/// 2013.
struct RmspropOptions {
  double lr = 1e-2;
  double alpha = 0.99;
  double eps = 1e-8;
  double weight_decay = 0;
  double momentum = 0;
  bool centered = false;  ///< divides by an estimate of the standard deviation
};

}  // namespace retrace

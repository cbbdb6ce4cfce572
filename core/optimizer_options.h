#pragma once

namespace retrace {

/// Stochastic gradient descent. Sutskever et al.: "On the importance of initialization and momentum", ICML
/// 2013.
struct SgdOptions {
  double lr = 1e-3;         ///< learning rate
  double momentum = 0;      ///< the part of the last step's direction that is kept
  double dampening = 0;     ///< takes this part of the gradient out of the momentum
  double weight_decay = 0;  ///< so many times the parameter is added to its gradient
  bool nesterov = false;    ///< looks ahead by the momentum; needs one, and no dampening
};

/// Kingma, Ba: "Adam", ICLR 2015.
struct AdamOptions {
  double lr = 1e-3;                     ///< learning rate
  double beta1 = 0.9;                   ///< how slowly the mean of gradients moves
  double beta2 = 0.999;                 ///< how slowly the mean of their squares moves
  double eps = 1e-8;                    ///< added to the root of that
  double weight_decay = 0;              ///< added to the gradient
  bool decoupled_weight_decay = false;  ///< instead takes lr weight_decay p from the parameter, as AdamW does
};

/// Loshchilov, Hutter: "Decoupled weight decay regularization", ICLR 2019.
struct AdamWOptions {
  double lr = 1e-3;            ///< learning rate
  double beta1 = 0.9;          ///< how slowly the mean of gradients moves
  double beta2 = 0.999;        ///< how slowly the mean of their squares moves
  double eps = 1e-8;           ///< added to the root of that
  double weight_decay = 1e-2;  ///< takes lr weight_decay p from the parameter p
};

/// Hinton's lecture 6e, 2012; `centered` after Graves: "Generating sequences with recurrent neural networks",
/// 2013.
struct RmspropOptions {
  double lr = 1e-2;         ///< learning rate
  double alpha = 0.99;      ///< how slowly the mean of squared gradients moves
  double eps = 1e-8;        ///< added to the root of that
  double weight_decay = 0;  ///< so many times the parameter is added to its gradient
  double momentum = 0;      ///< the part of the last step's direction that is kept
  bool centered = false;    ///< divides by an estimate of the standard deviation
};

}  // namespace retrace

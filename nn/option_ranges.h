#pragma once
#include <retrace/core/range.h>

namespace retrace {

/// @file
/// The ranges of options of layers, optimizers and schedules, for a program that checks its own input.

inline constexpr RealRange kLearningRateRange = RealRange::at_least(0);      ///< a learning rate
inline constexpr RealRange kMomentumRange = RealRange::at_least(0);          ///< an optimizer's momentum
inline constexpr RealRange kDampeningRange = {};                             ///< SGD's dampening
inline constexpr RealRange kWeightDecayRange = RealRange::at_least(0);       ///< an optimizer's weight decay
inline constexpr RealRange kBetaRange = RealRange::at_least(0).below(1);     ///< Adam's beta1 and beta2
inline constexpr RealRange kAlphaRange = RealRange::at_least(0).at_most(1);  ///< RMSprop's alpha
inline constexpr RealRange kOptimizerEpsRange = RealRange::at_least(0);      ///< an optimizer's eps
inline constexpr RealRange kNormEpsRange = RealRange::above(0);              ///< a normalisation's eps
inline constexpr RealRange kStatisticsMomentumRange =
    RealRange::at_least(0).at_most(1);                                         ///< batch norm's momentum
inline constexpr RealRange kDropoutRange = RealRange::at_least(0).at_most(1);  ///< a dropout's probability
inline constexpr RealRange kNetworkDropoutRange =
    RealRange::at_least(0).below(1);  ///< the dropout of a residual network
inline constexpr RealRange kDecayFactorRange =
    RealRange::at_least(0);                                      ///< what a schedule multiplies a rate by
inline constexpr IntRange kCountRange = IntRange::at_least(1);   ///< how many there are of something
inline constexpr IntRange kWarmupRange = IntRange::at_least(0);  ///< steps of warm-up

}  // namespace retrace

#pragma once
#include <retrace/autograd/var.h>
#include <retrace/nn/optimizer.h>

#include <cstdint>
#include <set>
#include <vector>

namespace retrace {

/// How a `GradScaler` begins and moves.
struct GradScalerOptions {
  double init_scale = 65536;    ///< the first scale
  double growth_factor = 2;     ///< what it is multiplied by after growth_interval steps without an overflow
  double backoff_factor = 0.5;  ///< what it is multiplied by after an overflow
  std::int64_t growth_interval = 2000;  ///< steps without an overflow after which the scale grows
  bool enabled = true;                  ///< false: scale() and step() do nothing of their own
};

/// Dynamic loss scaling: the loss is multiplied by a scale, so that small gradients do not vanish in a narrow
/// type, and the gradients are divided by it before the optimizer's step. A step with a gradient that is
/// infinite or NaN is left out, and the scale shrinks.
/// ```cpp
/// tape.backward(scaler.scale(loss));
/// scaler.step(optimizer);
/// scaler.update();
/// ```
/// It is for f16, whose smallest numbers are 2^-24; bf16 has the range of f32 and trains without.
/// Micikevicius et al.: "Mixed precision training", ICLR 2018.
class GradScaler {
 public:
  /// Throws ArgumentError unless init_scale > 0, growth_factor > 1, 0 < backoff_factor < 1, growth_interval
  /// >= 1.
  explicit GradScaler(const GradScalerOptions& options = {});

  /// loss times the scale.
  Var scale(const Var& loss) const;
  /// Divides the gradients of the optimizer's parameters by the scale; for what reads them before the step,
  /// as clip_grad_norm. Throws GradientError when that has happened since the last update(), and after a
  /// backward that failed.
  void unscale_(Optimizer& optimizer);
  /// The optimizer's step, after unscale_ where that has not happened; none where a gradient is infinite or
  /// NaN. Returns whether there was one. Throws GradientError when called twice before update().
  bool step(Optimizer& optimizer);
  /// Ends an iteration: after an overflow the scale is multiplied by backoff_factor, after growth_interval
  /// iterations without one by growth_factor. Throws GradientError when no gradient was looked at since the
  /// last update, and when an overflow would take the scale below 2^-126: then no scale helps.
  void update();
  /// Ends an iteration with a scale of one's own. Throws ArgumentError unless it is above 0.
  void update(double new_scale);

  double get_scale() const { return options_.enabled ? scale_ : 1; }  ///< the scale; 1 if it is not enabled
  bool is_enabled() const { return options_.enabled; }                ///< whether it does anything

  /// What training needs to go on as if it had not stopped: `scale`, `growth_factor`, `backoff_factor` (f64),
  /// `growth_interval`, `growth_tracker` (i64), scalars.
  std::vector<Named<Tensor>> state() const;
  /// Takes over what `state()` gave. Throws ArgumentError for other names or values out of range; then
  /// nothing has changed.
  void load_state(const std::vector<Named<Tensor>>& state);

 private:
  void end_iteration();

  GradScalerOptions options_;
  double scale_;
  std::int64_t growth_tracker_ = 0;  // iterations since the last overflow or growth
  // Optimizers, since the last update.
  std::set<const Optimizer*> unscaled_{};
  std::set<const Optimizer*> overflown_{};
  std::set<const Optimizer*> stepped_{};
};

}  // namespace retrace

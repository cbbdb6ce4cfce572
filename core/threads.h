#pragma once

namespace retrace {

/// Threads that kernels use: by default as many as the machine has cores. Results do not depend on it, bit
/// for bit.
int num_threads();
/// Throws ArgumentError below 1.
void set_num_threads(int threads);

}  // namespace retrace

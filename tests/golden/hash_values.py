"""Numbers that Python and C++ compute alike, so that weights and images need not be stored.

The formula, in hash_values.h too: number i of the tensor NAME is the upper 53 bits of mix(fnv1a(NAME) + i g), scaled to
[-1, 1). Integers wrap at 64 bits; every later operation is exact or correctly rounded, so both sides get the same bits.
"""

import math

import numpy as np

GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)


def fnv1a(name):
    """The 64-bit FNV-1a hash of a name (http://www.isthe.com/chongo/tech/comp/fnv/)."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = ((key ^ byte) * 0x100000001B3) % 2**64
    return np.uint64(key)


def mix(x):
    """Bits that depend on all bits of x. Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hash_bits(name, shape):
    count = math.prod(shape)
    with np.errstate(over="ignore"):
        index = np.arange(1, count + 1, dtype=np.uint64)
        return mix(fnv1a(name) + index * GOLDEN_RATIO).reshape(shape)


def hash_values(name, shape):
    """f64 numbers in [-1, 1)."""
    return (hash_bits(name, shape) >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def hash_labels(name, count, classes):
    return ((hash_bits(name, (count,)) >> np.uint64(11)) % np.uint64(classes)).astype(np.int64)


def hash_weight(name, shape):
    """A network's parameter: a kernel of a convolution has variance 2 / fan in (He et al. 2015), which keeps activations
    and gradients from growing or fading; a scale of a batch norm is near 1; a shift and a bias are near 0."""
    u = hash_values(name, shape)
    if len(shape) == 4:
        return u * math.sqrt(6.0 / math.prod(shape[1:]))
    if len(shape) == 2:
        return u * math.sqrt(3.0 / shape[1])
    return 1.0 + 0.25 * u if name.endswith("weight") else 0.25 * u

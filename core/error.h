#pragma once
#include <stdexcept>

namespace retrace {

/// All that retrace ever throws. The text reads `[operation] what must hold, got what`.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A value that the called function does not take (a negative stride, an unknown name).
class ArgumentError : public Error {
 public:
  using Error::Error;
};

/// Shapes that do not fit the operation or each other.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// An element type that the operation does not take.
class DTypeError : public Error {
 public:
  using Error::Error;
};

/// A device that is absent, or tensors on different devices.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// An allocation beyond the budget or beyond what the machine has; the text lists what is alive.
class OutOfMemoryError : public Error {
 public:
  using Error::Error;
};

/// Bytes that were read after a reversible module released them and before backward brought them back.
class ReleasedError : public Error {
 public:
  using Error::Error;
};

/// A gradient that cannot be computed, or cannot be trusted.
class GradientError : public Error {
 public:
  using Error::Error;
};

/// A module that does not invert what it computes.
class InvertibilityError : public Error {
 public:
  using Error::Error;
};

/// A file whose content is not what its format demands.
class FormatError : public Error {
 public:
  using Error::Error;
};

/// A file or folder that cannot be read or written.
class IoError : public Error {
 public:
  using Error::Error;
};

/// Something that retrace does not do (yet).
class NotImplementedError : public Error {
 public:
  using Error::Error;
};

}  // namespace retrace

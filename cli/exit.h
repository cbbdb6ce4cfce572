#pragma once
#include <retrace/core/error.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace retrace::cli {

/// Exit statuses of the program.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;       ///< the work could not be done, or a check found something wrong
inline constexpr int kWrongUse = 2;     ///< options that make no sense
inline constexpr int kSignalled = 128;  ///< stopped by a signal, whose number is added

/// Wrong use, known before any work.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// The user stopped the work with a signal.
class InterruptedError : public Error {
 public:
  InterruptedError(const std::string& text, int signal) : Error(text), signal_(signal) {}

  int signal() const { return signal_; }
  int status() const { return kSignalled + signal_; }  ///< of the program, as a shell gives it

 private:
  int signal_;
};

/// Runs `f`, in which options are checked: what does not fit in it is wrong use.
template <class F>
decltype(auto) check_use(F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const ArgumentError& error) {
    throw UsageError(error.what());
  } catch (const ShapeError& error) {
    throw UsageError(error.what());
  } catch (const DeviceError& error) {
    throw UsageError(error.what());
  }
}

/// What a program's main returns: the status of `work`, or that of what it throws, whose text is printed to
/// stderr behind `program: `.
int exit_status_of(std::string_view program, const std::function<int()>& work);

}  // namespace retrace::cli

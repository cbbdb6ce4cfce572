#include <retrace/cli/interruption.h>

#include <unistd.h>

#include <array>
#include <csignal>
#include <string_view>

namespace retrace::cli {

namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM};
constexpr std::string_view kNotice =
    "\nretrace: stopping at the end of this step with a checkpoint; a second signal ends the program at "
    "once\n";

volatile std::sig_atomic_t came = 0;

/// Calls only what may be called from a signal handler.
void note(int signal) {
  came = signal;
  for (const int each : kSignals) std::signal(each, SIG_DFL);
  static_cast<void>(::write(STDERR_FILENO, kNotice.data(), kNotice.size()) + 0);
}

bool is_handled_by(int signal, void (*handler)(int)) {
  struct sigaction current {};
  return ::sigaction(signal, nullptr, &current) == 0 && current.sa_handler == handler;
}

}  // namespace

Interruption::Interruption() {
  came = 0;
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  for (const int signal : kSignals) {
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    if (is_handled_by(signal, SIG_DFL)) ::sigaction(signal, &action, nullptr);
  }
}

Interruption::~Interruption() {
  for (const int signal : kSignals)
    if (is_handled_by(signal, note)) std::signal(signal, SIG_DFL);
}

int Interruption::signal() const { return came; }

}  // namespace retrace::cli

#include <retrace/cli/progress.h>
#include <retrace/core/convert.h>
#include <retrace/core/format.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace retrace::cli {

namespace {

constexpr double kTerminalSeconds = 0.1;
constexpr double kFileSeconds = 5;
constexpr double kMemory = 0.95;  // of the running means: about the last 20 steps

std::size_t terminal_width() {
  winsize size{};
  constexpr std::size_t kUsual = 80;
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

std::string bar(double part) {
  constexpr int kWidth = 16;
  const int full = std::clamp(static_cast<int>(part * kWidth), 0, kWidth);
  return fmt::format("[{:.<{}}] ", std::string(static_cast<std::size_t>(full), '#'), kWidth);
}

/// `3:25`, `1:02:03`.
std::string clock_text(double seconds) {
  const auto total = convert_to<std::int64_t>(seconds);
  if (total >= 3600) return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

}  // namespace

Progress::Progress(bool quiet) : quiet_(quiet), terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() { clear_bar(); }

void Progress::show(const Standing& standing) {
  images_ += standing.images;
  const double keep = first_ ? 0 : kMemory;
  first_ = false;
  loss_ = keep * loss_ + (1 - keep) * standing.loss;
  accuracy_ = keep * accuracy_ +
              (1 - keep) * static_cast<double>(standing.correct) / static_cast<double>(standing.images);
  if (quiet_) return;
  const auto now = Clock::now();
  const double pause = std::chrono::duration<double>(now - last_shown_).count();
  const bool last = standing.step == standing.steps;
  if (!last && pause < (terminal_ ? kTerminalSeconds : kFileSeconds)) return;
  last_shown_ = now;
  if (terminal_) {
    fmt::print(stderr, "\r{}\x1b[K", text_of(standing, terminal_width() - 1));
    drawn_ = true;
    std::fflush(stderr);
  } else {
    constexpr std::size_t kFileWidth = 200;
    fmt::print(stderr, "{}\n", text_of(standing, kFileWidth));
  }
}

void Progress::say(const std::string& text) {
  if (!quiet_) print(text);
}

void Progress::warn(const std::string& text) { print("retrace: " + text); }

void Progress::print(const std::string& text) {
  clear_bar();
  fmt::print(stderr, "{}\n", text);
}

std::string Progress::text_of(const Standing& s, std::size_t width) const {
  const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
  const double rate = static_cast<double>(images_) / std::max(seconds, 1e-9);
  const double left =
      static_cast<double>(s.steps - s.step) * static_cast<double>(s.images) / std::max(rate, 1e-9);
  std::string text = fmt::format("step {}/{} loss {:.4f} acc {:.1f} % {:.0f} img/s mem {} peak {} {}", s.step,
                                 s.steps, loss_, 100 * accuracy_, rate, format_bytes(memory_.live()),
                                 format_bytes(memory_.peak()), clock_text(left));
  const std::string epoch = fmt::format("epoch {}/{} ", s.epoch, s.epochs);
  if (text.size() + epoch.size() <= width) text = epoch + text;
  const std::string drawn = bar(static_cast<double>(s.step) / static_cast<double>(s.steps));
  return text.size() + drawn.size() <= width ? drawn + text : text.substr(0, width);
}

void Progress::clear_bar() {
  if (!drawn_) return;
  fmt::print(stderr, "\n");
  drawn_ = false;
}

}  // namespace retrace::cli

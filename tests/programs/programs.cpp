// Random programs: see docs/design/random-programs.md.
//   programs [--seed S] [--programs N | --seconds T | --program K] [--keep-going] [--tries N]
#include <retrace/core/error.h>
#include <retrace/core/threads.h>

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <string_view>

#include "generator.h"
#include "oracle.h"
#include "program.h"
#include "shrink.h"

namespace {

using namespace retrace::fuzz;
using Clock = std::chrono::steady_clock;

constexpr unsigned kLimit = 120;  // seconds for one program

struct Options {
  std::uint64_t seed = 1;
  std::int64_t programs = 300;
  std::int64_t only = -1;
  double seconds = 0;
  bool keep_going = false;  // after a finding
  int tries = 400;          // smaller programs that are tried for a finding
};

/// Runs f in a process of its own, so that a crash is a finding like any other.
Verdict isolated(const std::function<Verdict()>& f) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const pid_t child = fork();
  if (child == 0) {
    alarm(kLimit);
    const Verdict verdict = [&]() -> Verdict {
      try {
        return f();
      } catch (const std::exception& error) {
        return {.kind = "no program", .text = error.what()};
      }
    }();
    const std::string line = fmt::format("{}{}{}\n{}", verdict.gradients_checked ? 1 : 0,
                                         verdict.differences_checked ? 1 : 0, verdict.kind, verdict.text);
    const bool written = write(ends[1], line.data(), line.size()) == static_cast<ssize_t>(line.size());
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  std::string received;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
    received.append(buffer, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) {
    const std::string kind =
        WTERMSIG(status) == SIGALRM ? "hangs" : fmt::format("crash: {}", strsignal(WTERMSIG(status)));
    return {.kind = kind, .text = kind};
  }
  const std::size_t end = received.find('\n');
  if (end == std::string::npos)
    return {.kind = "ends", .text = fmt::format("the process ends with status {}", status)};
  return {.kind = received.substr(2, end - 2),
          .text = received.substr(end + 1),
          .gradients_checked = received[0] == '1',
          .differences_checked = received[1] == '1'};
}

/// Makes a program and checks it. One that cannot be undone (a scale that a sigmoid of -800 makes 0) is none.
Verdict check_made(std::uint64_t seed) {
  try {
    return check(generate(seed));
  } catch (const retrace::InvertibilityError&) {
    Verdict verdict;
    verdict.gradients_checked = verdict.differences_checked = false;
    return verdict;
  }
}

Verdict check_isolated(const Program& program) {
  return isolated([&] { return check(program); });
}

/// Tells of a finding, with the smallest program that has it.
void report(const Options& options, std::int64_t k, const Verdict& verdict) {
  fmt::print("\nprogram {} of seed {} ({}): {}\n", k, options.seed, verdict.kind, verdict.text);
  if (verdict.kind == "no program") return;
  const Program program = generate(combine(options.seed, static_cast<std::uint64_t>(k)));
  const Program small = shrink(
      program, [](const Program& p) { return check_isolated(p).kind; }, options.tries);
  fmt::print("made smaller: {}\n{}again: --seed {} --program {}\n", check_isolated(small).text,
             to_text(small), options.seed, k);
  std::fflush(stdout);
}

int run(const Options& options) {
  const auto start = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  std::int64_t count = 0, findings = 0, gradients = 0, differences = 0;
  std::int64_t k = std::max<std::int64_t>(options.only, 0);
  const auto more = [&] {
    if (options.only >= 0) return count == 0;
    return options.seconds > 0 ? seconds() < options.seconds : count < options.programs;
  };
  for (; more() && (findings == 0 || options.keep_going); ++k, ++count) {
    const std::uint64_t seed = combine(options.seed, static_cast<std::uint64_t>(k));
    if (options.only >= 0) fmt::print("{}", to_text(generate(seed)));
    const Verdict verdict = isolated([seed] { return check_made(seed); });
    gradients += verdict.gradients_checked ? 1 : 0;
    differences += verdict.differences_checked ? 1 : 0;
    if ((count + 1) % 1000 == 0) {
      fmt::print("{} programs in {:.0f} s\n", count + 1, seconds());
      std::fflush(stdout);
    }
    if (verdict.kind.empty()) continue;
    ++findings;
    report(options, k, verdict);
  }
  fmt::print(
      "{} programs of seed {} in {:.0f} s: {} findings; gradients compared with the stored run's in {}, with "
      "differences in {}\n",
      count, options.seed, seconds(), findings, gradients, differences);
  // a net through which most programs slip is none
  const bool blind = count >= 100 && (gradients < count / 2 || differences < count / 2);
  if (blind) fmt::print("too few programs were compared\n");
  return findings > 0 || blind ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--keep-going") {
      options.keep_going = true;
      continue;
    }
    const char* value = i + 1 < argc ? argv[++i] : "";
    char* end = nullptr;
    if (name == "--seed") options.seed = std::strtoull(value, &end, 0);
    if (name == "--programs") options.programs = std::strtoll(value, &end, 0);
    if (name == "--program") options.only = std::strtoll(value, &end, 0);
    if (name == "--tries") options.tries = static_cast<int>(std::strtol(value, &end, 0));
    if (name == "--seconds") options.seconds = std::strtod(value, &end);
    if (end == nullptr || end == value || *end != '\0') {
      fmt::print(stderr,
                 "usage: programs [--seed S] [--programs N | --seconds T | --program K] [--keep-going] "
                 "[--tries N]\n");
      return 2;
    }
  }
  retrace::set_num_threads(1);  // a child process inherits no threads
  fmt::print("seed {}\n", options.seed);
  std::fflush(stdout);
  return run(options);
}

#include <retrace/cli/waiting.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace retrace::cli {

void let_threads_sleep(char** argv) {
  // Who binds threads to processors must have them as they are: this thread is bound already, to one of them,
  // and the program would start again with that one alone.
  for (const char* chosen :
       {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY"})
    if (std::getenv(chosen) != nullptr) return;
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  // GNU's runtime counts rounds of about 20 ns; others know the policy only.
  if (error || ::setenv("GOMP_SPINCOUNT", "3000", 0) != 0 || ::setenv("OMP_WAIT_POLICY", "passive", 0) != 0)
    return;
  ::execv(self.c_str(), argv);
}

}  // namespace retrace::cli

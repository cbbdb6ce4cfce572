#include <retrace/cli/resident.h>

#include <malloc.h>

#include <fstream>
#include <string>

namespace retrace::cli {

namespace {

/// A field of /proc/self/status, which is in units of 1024 bytes.
std::int64_t status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::int64_t kibibytes = 0;
    if (word == field && status >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

}  // namespace

ResidentPeak::ResidentPeak() {
  ::malloc_trim(0);
  std::ofstream peak("/proc/self/clear_refs");  // 5: begin the peak anew, see proc(5)
  peak << "5" << std::flush;
  restarted_ = peak.good();
  before_ = status_bytes("VmRSS:");
}

std::int64_t ResidentPeak::bytes() const { return restarted_ ? status_bytes("VmHWM:") : 0; }

}  // namespace retrace::cli

#include <retrace/cli/exit.h>
#include <retrace/core/fail.h>

#include <cstdio>
#include <new>
#include <system_error>

namespace retrace::cli {

namespace {

int complain(std::string_view program, const char* text, int status) {
  fmt::print(stderr, "{}: {}\n", program, text);
  return status;
}

}  // namespace

int exit_status_of(std::string_view program, const std::function<int()>& work) {
  try {
    const int status = work();
    if (std::fflush(stdout) != 0) fail<IoError>("retrace", "the output must be writable, but it was not");
    return status;
  } catch (const UsageError& error) {
    return complain(program, error.what(), kWrongUse);
  } catch (const InterruptedError& error) {
    return complain(program, error.what(), error.status());
  } catch (const std::bad_alloc&) {
    return complain(program, "[retrace] the machine must have memory for this, but there is no more",
                    kFailed);
  } catch (const std::system_error&) {  // from {fmt}
    return complain(program, "[retrace] the output must be writable, but it was not", kFailed);
  } catch (const std::exception& error) {
    return complain(program, error.what(), kFailed);
  }
}

}  // namespace retrace::cli

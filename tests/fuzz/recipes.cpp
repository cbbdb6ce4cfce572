// Any file as recipes, and as the log of a run.
#include <retrace/cli/recipes.h>
#include <retrace/cli/run_folder.h>

#include "fuzz.h"

using namespace retrace;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::filesystem::path path = fuzz::write("recipes.json", {data, size});
  fuzz::expect_result_or_error([&] {
    const cli::Recipes recipes(path);
    for (const std::string& name : recipes.names())
      fuzz::expect_result_or_error([&] { static_cast<void>(recipes.find(name)); });
  });
  fuzz::write("log.jsonl", {data, size});
  fuzz::expect_result_or_error([] { cli::RunFolder(fuzz::scratch_folder()).open_log(1000); });
  return 0;
}

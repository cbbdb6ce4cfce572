#include <retrace/autograd/ops.h>
#include <retrace/core/file.h>
#include <retrace/report/recorder.h>
#include <retrace/report/write.h>

#include <algorithm>

#include "../support/catch.h"
#include "../support/temporary_folder.h"
#include "../support/throws.h"

using namespace retrace;
using test::check_throws;

namespace {

Recording recording_named(const std::string& name) {
  MemoryRecorder recorder;
  Tape tape;
  tape.observe(&recorder);
  tape.backward(sum(tanh(tape.watch(Tensor::full({128}, 0.5, DType::f64)))));
  return recorder.recording(name);
}

}  // namespace

TEST_CASE("a report needs a recording", "[report]") {
  const test::TemporaryFolder folder;
  for (const auto& write : {&write_html, &write_svg, &write_csv, &write_trace})
    check_throws<ArgumentError>([&] { write(folder / "file", MemoryReport{}); },
                                "[report] there must be at least one recording, got none");
  CHECK(!std::filesystem::exists(folder / "file"));
}

TEST_CASE("names cannot break a page or a picture", "[report]") {
  const test::TemporaryFolder folder;
  MemoryReport report{.title = "a < b & c", .recordings = {recording_named("</script><b>")}};
  write_html(folder / "page.html", report);
  const std::string page = read_file(folder / "page.html");
  CHECK(page.find("<title>a &lt; b &amp; c</title>") != std::string::npos);
  CHECK(page.find("</script><b>") == std::string::npos);
  CHECK(page.find("\\u003c/script>\\u003cb>") != std::string::npos);
  CHECK(page.find('@') == page.find("@media"));  // every place is filled
  write_svg(folder / "picture.svg", report);
  const std::string picture = read_file(folder / "picture.svg");
  CHECK(picture.find("<title>a &lt; b &amp; c</title>") != std::string::npos);
  CHECK(picture.find("&lt;/script>&lt;b>: peak") != std::string::npos);
}

TEST_CASE("the rows of a CSV file follow the ledger", "[report]") {
  const test::TemporaryFolder folder;
  const Recording recording = recording_named("a \"quoted\" name");
  write_csv(folder / "step.csv", {.recordings = {recording}});
  const std::string csv = read_file(folder / "step.csv");
  CHECK(csv.substr(0, csv.find('\n')) ==
        "recording,seconds,phase,node,parameter_bytes,buffer_bytes,parameter_gradient_bytes,optimizer_bytes,"
        "activation_bytes,saved_bytes,gradient_bytes,workspace_bytes,data_bytes");
  const auto at_start = std::count_if(recording.events.begin(), recording.events.end(),
                                      [](const Counter::Event& event) { return event.seconds == 0; });
  CHECK(std::count(csv.begin(), csv.end(), '\n') ==
        static_cast<std::ptrdiff_t>(recording.events.size()) - at_start + 1 + (at_start > 0 ? 1 : 0));
  CHECK(csv.find("\"a \"\"quoted\"\" name\",") != std::string::npos);
  CHECK(csv.find(",\"forward\",\"tanh\",0,0,0,0,1024,0,0,0,") != std::string::npos);
  CHECK(csv.find(",\"backward\",\"tanh\",0,0,0,0,") != std::string::npos);
}

TEST_CASE("names that are not UTF-8 are reported", "[report]") {
  const test::TemporaryFolder folder;
  const MemoryReport report{.title = "a\x1b\xff", .recordings = {recording_named("b\x1b\xff")}};
  for (const auto& write : {&write_html, &write_svg, &write_csv, &write_trace})
    CHECK_NOTHROW(write(folder / "file", report));
  write_svg(folder / "picture.svg", report);
  CHECK(read_file(folder / "picture.svg").find(R"(<title>a\x1b\xff</title>)") != std::string::npos);
  write_trace(folder / "trace.json", report);
  CHECK(read_file(folder / "trace.json").find("b\\u001b\xef\xbf\xbd") != std::string::npos);
}

#include <retrace/core/convert.h>
#include <retrace/core/file.h>
#include <retrace/core/format.h>
#include <retrace/report/check.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace retrace {

namespace {

constexpr double kWidth = 800;
constexpr double kLeft = 64;
constexpr double kRight = 776;
constexpr double kTop = 122;
constexpr double kBottom = 388;
constexpr double kRibbonTop = 446;
constexpr double kRibbonHeight = 22;
constexpr double kRibbonStep = 46;
constexpr double kMebibyte = 1024.0 * 1024.0;
constexpr std::size_t kLineLength = 112;  // of the sentence, in characters

/// A colour for a line, and lighter ones for what is below it and for the phases, in their order.
struct Colours {
  std::string_view line;
  std::string_view area;
  std::array<std::string_view, 3> phases;
};
constexpr std::array kColours = {Colours{"#b4451f", "#f4d3c5", {"#f7e1d7", "#efbfa9", "#e2977a"}},
                                 Colours{"#1f5fa8", "#a9cbee", {"#dbe9f7", "#aecdec", "#7fb0e0"}},
                                 Colours{"#3a7d2c", "#c4e3bd", {"#e0f1dc", "#b9dcb1", "#8fc684"}}};

/// How the activation bytes of one step rise and fall.
struct Timeline {
  struct Point {
    double seconds = 0;
    std::int64_t bytes = 0;  // from here on
  };

  const Recording& recording;
  std::vector<Point> points{};
  std::int64_t peak = 0;
  double end = 0;
};

Timeline timeline_of(const Recording& recording) {
  Timeline timeline{.recording = recording,
                    .points = {},
                    .peak = figures_of(recording).peak_bytes,
                    .end = recording.end.seconds};
  std::int64_t bytes = 0;
  for (const Counter::Event& event : recording.events) {
    if (!kStepTags.contains(event.record.tag)) continue;
    bytes += detail::change_of(event);
    timeline.points.push_back({.seconds = event.seconds, .bytes = bytes});
  }
  return timeline;
}

/// From seconds and bytes to places in the picture.
struct Scale {
  double seconds;
  double bytes;

  double x(double s) const { return kLeft + (kRight - kLeft) * s / seconds; }
  double y(double b) const { return kBottom - (kBottom - kTop) * b / bytes; }
};

/// The smallest of 1, 2, 5, 10, 20, ... that cuts `range` into at most `most` pieces.
double nice_step(double range, double most) {
  double step = std::pow(10, std::floor(std::log10(range / most)));
  for (const double factor : {2.0, 2.5, 2.0}) {
    if (range / step <= most) break;
    step *= factor;
  }
  return step;
}

std::string text_at(double x, double y, std::string_view attributes, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, attributes,
                     detail::escaped(text));
}

std::string heading(const std::string& title, const std::string& text) {
  std::string svg = text_at(24, 34, "font-size=\"19\" font-weight=\"bold\"", title);
  double y = 58;
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t end = begin + kLineLength >= text.size() ? text.size() : text.rfind(' ', begin + kLineLength);
    if (end == std::string::npos || end <= begin) end = text.size();
    svg += text_at(24, y, "font-size=\"13\" fill=\"#444\"", text.substr(begin, end - begin));
    begin = end + 1;
    y += 18;
  }
  return svg;
}

std::string axes(const Scale& scale) {
  constexpr double kMostLines = 8;
  constexpr double kMostTicks = 9;
  std::string svg;
  const double mebibytes = nice_step(scale.bytes / kMebibyte, kMostLines);
  for (double v = 0; v * kMebibyte <= scale.bytes; v += mebibytes) {
    const double y = scale.y(v * kMebibyte);
    svg += fmt::format("<line x1=\"{}\" y1=\"{:.1f}\" x2=\"{}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>\n", kLeft, y,
                       kRight, y);
    svg += text_at(kLeft - 8, y + 4, "font-size=\"12\" fill=\"#444\" text-anchor=\"end\"",
                   fmt::format("{:g}", v));
  }
  svg += text_at(24, kTop - 14, "font-size=\"12\" fill=\"#444\"", "MiB of activations");
  const double step = nice_step(1e3 * scale.seconds, kMostTicks);
  for (double ms = 0; ms <= 1e3 * scale.seconds; ms += step) {
    const double x = scale.x(ms / 1e3);
    svg += fmt::format("<line x1=\"{:.1f}\" y1=\"{}\" x2=\"{:.1f}\" y2=\"{}\" stroke=\"#888\"/>\n", x,
                       kBottom, x, kBottom + 5);
    svg += text_at(x, kBottom + 19, "font-size=\"12\" fill=\"#444\" text-anchor=\"middle\"",
                   fmt::format("{:g}", ms));
  }
  svg += text_at(kRight, kBottom + 36, "font-size=\"12\" fill=\"#444\" text-anchor=\"end\"",
                 "milliseconds since the step began");
  return svg;
}

/// The outline: the most bytes in each half pixel.
std::string curve(const Timeline& timeline, const Scale& scale, const Colours& colours) {
  const auto columns = static_cast<std::size_t>(2 * (kRight - kLeft)) + 1;
  std::vector<std::int64_t> most(columns, 0);
  const auto column = [&](double seconds) {
    return std::min(convert_to<std::size_t>(2 * (scale.x(seconds) - kLeft)), columns - 1);
  };
  for (std::size_t p = 0; p < timeline.points.size(); ++p) {
    const auto& point = timeline.points[p];
    const double until = p + 1 < timeline.points.size() ? timeline.points[p + 1].seconds : timeline.end;
    for (std::size_t c = column(point.seconds); c <= column(until); ++c)
      most[c] = std::max(most[c], point.bytes);
  }
  std::string path;
  const std::size_t end = column(timeline.end);
  for (std::size_t c = 0; c <= end; ++c) {
    if (c > 0 && c < end && most[c] == most[c - 1]) continue;
    const double x = kLeft + static_cast<double>(c) / 2;
    if (c > 0) path += fmt::format("H{:.1f}", x);
    path += fmt::format("V{:.1f}", scale.y(static_cast<double>(most[c])));
  }
  return fmt::format(
      "<path d=\"M{} {}{}V{}Z\" fill=\"{}\" fill-opacity=\"0.75\" stroke=\"{}\" stroke-width=\"1.3\" "
      "stroke-linejoin=\"round\"/>\n",
      kLeft, kBottom, path, kBottom, colours.area, colours.line);
}

std::string legend(const std::vector<Timeline>& timelines) {
  constexpr double kRow = 24;
  double y = kTop + 8;
  // on white, so that no line of the grid runs through the words
  std::string svg = fmt::format("<rect x=\"{}\" y=\"{}\" width=\"236\" height=\"{}\" fill=\"#fff\"/>\n",
                                kRight - 234, y - kRow + 5, kRow * static_cast<double>(timelines.size()) + 6);
  for (std::size_t t = 0; t < timelines.size(); ++t) {
    const Colours& colours = kColours[t % kColours.size()];
    svg += fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"14\" height=\"14\" fill=\"{}\" stroke=\"{}\" "
        "stroke-width=\"1.3\"/>\n",
        kRight - 226, y - 11, colours.area, colours.line);
    svg += text_at(kRight - 204, y,
                   fmt::format("font-size=\"14\" font-weight=\"bold\" fill=\"{}\"", colours.line),
                   fmt::format("{}: peak {:.1f} MiB", timelines[t].recording.name,
                               static_cast<double>(timelines[t].peak) / kMebibyte));
    y += kRow;
  }
  return svg;
}

/// What the step is doing when: one ribbon for each timeline, below the axis.
std::string ribbons(const std::vector<Timeline>& timelines, const Scale& scale) {
  constexpr double kLetter = 7;  // roughly, at 12 px
  std::string svg;
  for (std::size_t t = 0; t < timelines.size(); ++t) {
    const Timeline& timeline = timelines[t];
    const Colours& colours = kColours[t % kColours.size()];
    const double y = kRibbonTop + kRibbonStep * static_cast<double>(t);
    svg +=
        text_at(kLeft, y - 5, fmt::format("font-size=\"13\" font-weight=\"bold\" fill=\"{}\"", colours.line),
                timeline.recording.name);
    const std::vector<Recording::Phase>& phases = timeline.recording.phases;
    for (std::size_t p = 0; p < phases.size(); ++p) {
      const bool last = p + 1 == phases.size();
      const double x = scale.x(phases[p].begin.seconds);
      const double width = scale.x(detail::end_of_phase(timeline.recording, p).seconds) - x;
      svg += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\" stroke=\"#fff\"/>\n", x, y,
          width, kRibbonHeight, colours.phases[p % colours.phases.size()]);
      if (width > kLetter * static_cast<double>(phases[p].name.size()) + 6)
        svg += text_at(x + width / 2, y + 15, "font-size=\"12\" fill=\"#222\" text-anchor=\"middle\"",
                       phases[p].name);
      else if (last && x + width + 50 < kWidth)
        svg += text_at(x + width + 4, y + 15, "font-size=\"12\" fill=\"#222\"", phases[p].name);
    }
  }
  return svg;
}

std::string draw(const MemoryReport& report) {
  std::vector<Timeline> timelines;
  for (const Recording& recording : report.recordings) timelines.push_back(timeline_of(recording));
  constexpr double kAbove = 1.08;   // the axis is higher than the highest curve
  constexpr double kBeside = 1.08;  // and longer than the longest step, for a word beside it
  Scale scale{.seconds = 0, .bytes = 1};
  for (const Timeline& timeline : timelines) {
    scale.seconds = std::max(scale.seconds, kBeside * timeline.end);
    scale.bytes = std::max(scale.bytes, kAbove * static_cast<double>(timeline.peak));
  }
  const double height = kRibbonTop + kRibbonStep * static_cast<double>(timelines.size()) - 4;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "role=\"img\" "
      "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" fill=\"#111\">\n"
      "<title>{2}</title>\n<desc>{3}</desc>\n<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
      kWidth, height, detail::escaped(report.title), detail::escaped(report.text));
  svg += heading(report.title, report.text) + axes(scale);
  for (std::size_t t = 0; t < timelines.size(); ++t)
    svg += curve(timelines[t], scale, kColours[t % kColours.size()]);
  svg += fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"#444\"/>\n", kLeft, kBottom,
                     kRight, kBottom);
  return svg + legend(timelines) + ribbons(timelines, scale) + "</svg>\n";
}

}  // namespace

void write_svg(const std::filesystem::path& path, const MemoryReport& report) {
  detail::check_report(report);
  write_file_atomically(path, draw(report));
}

}  // namespace retrace

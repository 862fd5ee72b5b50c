// SPDX-License-Identifier: Apache-2.0
#include "page/chart.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

namespace page_chart_test {

using namespace hoplock;
using page::Chart;

namespace {

const Time t0 = from_millis(1'790'000'040'000);  // 2026-09-21T14:14:00Z

Chart chart_of(std::vector<std::optional<double>> values, Chart::Kind kind = Chart::Kind::stacked) {
  Chart chart;
  chart.kind = kind;
  chart.id = "c";
  chart.title = "Messages <a> minute";
  chart.first = t0;
  chart.rows = {{"deliv<ered", 0, std::move(values)}};
  return chart;
}

bool has(const std::string& svg, std::string_view text) { return svg.find(text) != std::string::npos; }
std::size_t times(const std::string& svg, std::string_view text) {
  std::size_t n = 0;
  for (auto at = svg.find(text); at != std::string::npos; at = svg.find(text, at + 1)) ++n;
  return n;
}
bool is_drawable(const std::string& svg) { return !has(svg, "nan") && !has(svg, "inf") && !has(svg, "\"-"); }

}  // namespace

TEST_CASE("chart: nothing, and nothing known, are told in words and not drawn") {
  Chart none;
  none.id = "c";
  for (const Chart& chart :
       {none, chart_of({}), chart_of({std::nullopt, std::nullopt}), chart_of({std::nan(""), -1})}) {
    const std::string svg = page::to_svg(chart);
    CHECK(has(svg, "Nothing is known of this time yet."));
    CHECK_FALSE(has(svg, "<svg"));
  }
}

TEST_CASE("chart: one point has a bar, an axis in its unit, a value under the pointer, and a row of the table") {
  const std::string svg = page::to_svg(chart_of({7.5}));
  CHECK(has(svg, "<figcaption id=\"c\">Messages &lt;a&gt; minute</figcaption>"));
  CHECK(has(svg, "<title>2026-09-21T14:14 UTC: deliv&lt;ered 7.5</title>"));
  CHECK(times(svg, "<rect class=\"k1\"") == 2);  // the bar, and the legend's
  CHECK(has(svg, ">10</text>"));
  CHECK(has(svg, ">14:14</text>"));
  CHECK(has(svg, "<td data-label=\"deliv&lt;ered\" class=\"n\">7.5</td>"));
  CHECK(is_drawable(svg));
}

TEST_CASE("chart: a hole is no zero: no bar, a broken line, and words") {
  const std::string bars = page::to_svg(chart_of({1, std::nullopt, 3}));
  CHECK(times(bars, "<rect class=\"k1\"") == 3);
  CHECK(has(bars, "14:15 UTC: deliv&lt;ered not known"));
  const std::string lines = page::to_svg(chart_of({1, 2, std::nullopt, 3}, Chart::Kind::lines));
  const auto path = lines.substr(lines.find("<path class=\"line k1\""));
  CHECK(times(path.substr(0, path.find("/>")), "M") == 2);
  CHECK(is_drawable(lines));
}

TEST_CASE("chart: values of any size stay within the picture") {
  for (const double value : {0., 1e-9, 1., 999., 1e6, 1e12, 1e300, std::numeric_limits<double>::infinity()}) {
    CAPTURE(value);
    for (const auto kind : {Chart::Kind::stacked, Chart::Kind::shares, Chart::Kind::lines}) {
      Chart chart = chart_of({value, value / 2, 0, value}, kind);
      chart.rows.push_back({"other", 5, {value, 1}});
      CHECK(is_drawable(page::to_svg(chart)));
      chart.unit = Chart::Unit::seconds;
      CHECK(is_drawable(page::to_svg(chart)));
    }
  }
}

TEST_CASE("chart: shares add up to a hundred, and where there was nothing there is none") {
  Chart chart = chart_of({3, 0}, Chart::Kind::shares);
  chart.rows.push_back({"clear", 4, {1, 0}});
  const std::string svg = page::to_svg(chart);
  CHECK(has(svg, "deliv&lt;ered 75 %, clear 25 %"));
  CHECK(has(svg, "deliv&lt;ered not known, clear not known"));
  CHECK(has(svg, ">100 %</text>"));
}

TEST_CASE("chart: however many steps there are, columns and rows of the table are bounded") {
  std::vector<std::optional<double>> values(43'200, 2.);
  values[0] = 50;
  const std::string stacked = page::to_svg(chart_of(values));
  CHECK(times(stacked, "class=\"hit\"") == 96);
  CHECK(times(stacked, "<tr>") <= 25);
  CHECK(stacked.size() < 60'000);
  const std::string lines = page::to_svg(chart_of(values, Chart::Kind::lines));
  CHECK(has(lines, "deliv&lt;ered 50"));  // the largest of those drawn together, not their mean
}

TEST_CASE("chart: the axis of time has full hours and days of UTC, and says so") {
  Chart chart = chart_of(std::vector<std::optional<double>>(1440, 2.));
  const std::string day = page::to_svg(chart);
  for (const std::string_view text :
       {">18:00</text>", ">00:00</text>", ">06:00</text>", ">12:00</text>", ">UTC</text>"})
    CHECK(has(day, text));
  CHECK_FALSE(has(day, ">14:14</text>"));
  chart.step = std::chrono::hours(1);
  chart.rows[0].values.resize(168);
  const std::string week = page::to_svg(chart);
  for (const std::string_view text : {">09-22</text>", ">09-23</text>", ">09-28</text>"}) CHECK(has(week, text));
  CHECK_FALSE(has(week, ">UTC</text>"));
  chart.step = std::chrono::days(365 * 20);  // however long
  CHECK(times(page::to_svg(chart), "text-anchor=\"middle\"") < 10);
}

TEST_CASE("chart: ages have the axis of a clock, long times have days") {
  Chart chart = chart_of({5400, 100}, Chart::Kind::lines);
  chart.unit = Chart::Unit::seconds;
  CHECK(has(page::to_svg(chart), ">4 h</text>"));
  chart.step = std::chrono::days(1);
  chart.rows[0].values.assign(30, 86400.);
  CHECK(has(page::to_svg(chart), ">09-21</text>"));
  CHECK(has(page::to_svg(chart), ">1 d</text>"));
}

}  // namespace page_chart_test

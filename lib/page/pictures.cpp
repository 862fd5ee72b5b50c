// SPDX-License-Identifier: Apache-2.0
#include "page/pictures.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "page/chart.h"
#include "page/markup.h"

namespace hoplock::page {

namespace {

using statistics::Figures;
using statistics::Series;
using statistics::Span;

constexpr std::size_t enough_points = 24;  // hours of a week, to know what is usual

struct SpanWords {
  Span span;
  std::string_view word, shown;
};
constexpr std::array<SpanWords, 3> span_words{
    {{Span::day, "day", "24 hours"}, {Span::week, "week", "7 days"}, {Span::month, "month", "30 days"}}};

constexpr std::string_view section_begin =
    "<section data-part=\"pictures\" aria-labelledby=\"pictures\">\n<h2 id=\"pictures\">Over time</h2>\n";

template <class Value>
Chart::Row row_of(std::string name, const Series& series, Value value) {
  Chart::Row row;
  row.name = std::move(name);
  for (const auto& one : series.points) row.values.push_back(one ? std::optional<double>(value(*one)) : std::nullopt);
  return row;
}

Chart chart_over(const Series& series, Chart::Kind kind, std::string id, std::string title) {
  Chart chart;
  chart.kind = kind;
  chart.id = std::move(id);
  chart.title = std::move(title);
  chart.first = series.from;
  chart.step = series.step;
  return chart;
}

std::string traffic(const Series& series) {
  Chart chart = chart_over(series, Chart::Kind::stacked, "traffic", "Recipients a minute");
  const double minutes = std::max(1., static_cast<double>(series.step.count()) / 60);
  const auto row = [&](std::string name, std::uint64_t Figures::*of) {
    chart.rows.push_back(
        row_of(std::move(name), series, [&](const Figures& one) { return static_cast<double>(one.*of) / minutes; }));
  };
  row("accepted", &Figures::accepted);
  row("delivered", &Figures::delivered);
  row("deferred", &Figures::deferred);
  row("bounced", &Figures::bounced);
  return to_svg(chart);
}

std::string by_proof(const Series& series) {
  constexpr std::array<std::string_view, 5> names{"DANE", "MTA-STS", "verified", "encrypted",
                                                  "in clear"};  // as statistics::Proof
  constexpr std::array<int, 5> colors{2, 1, 5, 3, 4};
  Chart chart = chart_over(series, Chart::Kind::shares, "proof", "Delivered, by what proved the host");
  for (std::size_t i = 0; i < names.size(); ++i) {
    chart.rows.push_back(
        row_of(std::string(names[i]), series, [i](const Figures& one) { return static_cast<double>(one.proofs[i]); }));
    chart.rows.back().color = colors[i];
  }
  return to_svg(chart);
}

// Of a time when nobody looked nothing is known, though mail was counted.
template <class Value>
std::string waiting_chart(const Series& series, Chart chart, std::string name, Value value) {
  Chart::Row row;
  row.name = std::move(name);
  for (const auto& one : series.points)
    row.values.push_back(one && one->waiting ? std::optional<double>(value(*one->waiting)) : std::nullopt);
  chart.rows = {std::move(row)};
  return to_svg(chart);
}

}  // namespace

Span span_of(std::string_view word) {
  const auto* const found =
      std::find_if(span_words.begin(), span_words.end(), [&](const SpanWords& one) { return one.word == word; });
  return found == span_words.end() ? Span::day : found->span;
}

std::string no_pictures_html(const std::string& why) {
  return std::string(section_begin) + dim("The figures cannot be shown now: " + foreign(why)) + "</section>\n";
}

std::string pictures_html(const Series& series, Span span) {
  std::string html = std::string(section_begin) + "<p class=\"spans\">";
  for (const SpanWords& one : span_words) {
    html += "<a href=\"/?span=" + std::string(one.word) + "\"" + (one.span == span ? " aria-current=\"page\">" : ">") +
            std::string(one.shown) + "</a> ";
  }
  html += "</p>\n<div class=\"pictures\">\n" + traffic(series) + by_proof(series);
  html += waiting_chart(series, chart_over(series, Chart::Kind::lines, "depth", "Messages queued"), "queued",
                        [](const statistics::Waiting& one) { return static_cast<double>(one.messages); });
  Chart ages = chart_over(series, Chart::Kind::lines, "oldest", "Age of the oldest message");
  ages.unit = Chart::Unit::seconds;
  html += waiting_chart(series, std::move(ages), "oldest",
                        [](const statistics::Waiting& one) { return static_cast<double>(one.oldest.count()); });
  return html + "</div>\n</section>\n";
}

std::optional<Milliseconds> usual_oldest(const Series& week) {
  std::vector<Seconds> ages;
  for (const auto& one : week.points)
    if (one && one->waiting) ages.push_back(one->waiting->oldest);
  if (ages.size() < enough_points) return std::nullopt;
  const auto place = ages.begin() + static_cast<std::ptrdiff_t>(ages.size() * 3 / 4);
  std::nth_element(ages.begin(), place, ages.end());
  return *place;
}

}  // namespace hoplock::page

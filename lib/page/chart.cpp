// SPDX-License-Identifier: Apache-2.0
#include "page/chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "page/markup.h"

namespace hoplock::page {

namespace {

constexpr std::size_t most_columns = 96;
constexpr std::size_t most_table_rows = 24;
constexpr std::size_t most_series = 5;
constexpr double largest_value = 1e15;  // beyond it nothing is told apart
// The plot, in units of the picture, which is 360 wide.
constexpr double plot_left = 40, plot_right = 352, plot_top = 8, plot_bottom = 130, plot_height = 152;

using Values = std::vector<std::optional<double>>;  // of one moment, one each row

struct Columns {
  Milliseconds step{1};
  std::vector<Values> all;
  double largest = 0;  // of what is drawn
};

bool is_known(const std::optional<double>& value) { return value && std::isfinite(*value) && *value >= 0; }

// Some steps drawn as one; nothing: none of them is known.
std::optional<double> together(const Chart& chart, const Chart::Row& row, std::size_t from, std::size_t to) {
  double sum = 0;
  double largest = 0;
  std::size_t known = 0;
  for (std::size_t i = from; i < std::min(to, row.values.size()); ++i) {
    if (!is_known(row.values[i])) continue;
    const double value = std::min(*row.values[i], largest_value);
    sum += value;
    largest = std::max(largest, value);
    ++known;
  }
  if (known == 0) return std::nullopt;
  return chart.kind == Chart::Kind::lines ? largest : sum / static_cast<double>(known);
}

double sum_of(const Values& values) {
  double sum = 0;
  for (const auto& one : values) sum += one.value_or(0);
  return sum;
}

Columns columns_of(const Chart& chart, std::size_t most) {
  std::size_t steps = 0;
  const std::size_t rows = std::min(chart.rows.size(), most_series);
  for (std::size_t i = 0; i < rows; ++i) steps = std::max(steps, chart.rows[i].values.size());
  const std::size_t width = std::max<std::size_t>(1, (steps + most - 1) / most);
  Columns columns;
  columns.step = chart.step * static_cast<std::int64_t>(width);
  for (std::size_t from = 0; from < steps; from += width) {
    Values values;
    for (std::size_t i = 0; i < rows; ++i) values.push_back(together(chart, chart.rows[i], from, from + width));
    const double sum = sum_of(values);
    if (chart.kind == Chart::Kind::shares) {
      for (auto& one : values)
        if (one) one = sum > 0 ? std::optional(*one / sum * 100) : std::nullopt;
    }
    if (chart.kind == Chart::Kind::stacked) columns.largest = std::max(columns.largest, sum);
    if (chart.kind == Chart::Kind::lines)
      for (const auto& one : values) columns.largest = std::max(columns.largest, one.value_or(0));
    columns.all.push_back(std::move(values));
  }
  if (chart.kind == Chart::Kind::shares) columns.largest = 100;
  return columns;
}

std::string decimal(double value, int digits) {
  std::array<char, 64> room{};
  const int length = std::snprintf(room.data(), room.size(), "%.*f", digits, value);
  std::string text(room.data(), static_cast<std::size_t>(std::clamp(length, 0, static_cast<int>(room.size()) - 1)));
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string large(double value) {
  constexpr std::array<std::string_view, 6> units{"", "k", "M", "G", "T", "P"};
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < units.size(); ++unit) value /= 1000;
  if (value >= 1e6) return "very many";
  return decimal(value, value < 10 ? 2 : value < 100 ? 1 : 0) + std::string(units[unit]);
}

std::string in_words(const Chart& chart, double value) {
  if (chart.kind == Chart::Kind::shares) return decimal(value, 1) + " %";
  if (chart.unit == Chart::Unit::seconds)
    return age(Milliseconds(static_cast<std::int64_t>(std::min(value, 1e12) * 1000)));
  return large(value);
}

// The end of the axis: 1, 2 or 5 of some power of ten; of seconds, what clocks count in.
double axis_end(const Chart& chart, double largest) {
  if (chart.kind == Chart::Kind::shares) return 100;
  if (chart.unit == Chart::Unit::seconds) {
    for (const double end :
         {60., 600., 3600., 4 * 3600., 12 * 3600., 86400., 2 * 86400., 5 * 86400., 10 * 86400., 30 * 86400.})
      if (largest <= end) return end;
  }
  if (largest <= 1) return 1;
  const double power = std::pow(10, std::floor(std::log10(largest)));
  for (const double times : {1., 2., 5.})
    if (largest <= times * power) return times * power;
  return 10 * power;
}

double x_of(std::size_t column, const Columns& columns) {
  return plot_left + (plot_right - plot_left) * static_cast<double>(column) /
                         static_cast<double>(std::max<std::size_t>(1, columns.all.size()));
}
double y_of(double value, double end) {
  return plot_bottom - (plot_bottom - plot_top) * std::clamp(value / end, 0., 1.);
}

// The class of a row's colour.
std::string color_of(const Chart& chart, std::size_t row) {
  const int color = chart.rows[row].color;
  return "k" + std::to_string(color > 0 ? color : static_cast<int>(row) + 1);
}

std::string text_at(double x, double y, std::string_view anchor, const std::string& text) {
  return "<text x=\"" + decimal(x, 1) + "\" y=\"" + decimal(y, 1) + "\" text-anchor=\"" + std::string(anchor) + "\">" +
         escaped(text) + "</text>";
}

std::string rectangle(std::string_view look, double x, double y, double width, double tall) {
  return "<rect class=\"" + std::string(look) + "\" x=\"" + decimal(x, 2) + "\" y=\"" + decimal(y, 2) + "\" width=\"" +
         decimal(width, 2) + "\" height=\"" + decimal(tall, 2) + "\"/>";
}

// "14:00" within two days, else "11-28".
std::string time_label(Time time, Milliseconds span) {
  const std::string text = to_rfc3339(time);
  return span <= std::chrono::hours(48) ? text.substr(11, 5) : text.substr(5, 5);
}

// At full minutes, hours and days of UTC, at most seven; where a step is a day or more, at the beginnings of steps.
std::string time_axis(const Chart& chart, const Columns& columns) {
  using std::chrono::days, std::chrono::hours, std::chrono::minutes;
  constexpr std::array<Milliseconds, 13> apart{minutes(1), minutes(5), minutes(15), minutes(30), hours(1),
                                               hours(3),   hours(6),   days(1),     days(2),     days(7),
                                               days(30),   days(182),  days(365)};
  constexpr std::int64_t most_ticks = 7;
  const auto span = columns.step * static_cast<std::int64_t>(columns.all.size());
  const auto* const found =
      std::find_if(apart.begin(), apart.end(), [&](Milliseconds one) { return span / one <= most_ticks; });
  const Milliseconds every = found == apart.end() ? span : *found;
  const Milliseconds first = chart.first.time_since_epoch(), grid = std::min<Milliseconds>(every, days(1));
  Milliseconds at = chart.step >= days(1) ? first : (first + grid - Milliseconds(1)) / grid * grid;
  std::string svg;
  for (; at < first + span; at += every) {
    const double share = static_cast<double>((at - first).count()) / static_cast<double>(span.count());
    const double x = plot_left + (plot_right - plot_left) * share;
    if (x > plot_right - 12) break;  // its label would be cut
    svg += "<path class=\"grid\" d=\"M" + decimal(x, 1) + " " + decimal(plot_bottom, 0) + "v4\"/>";
    svg += text_at(x, plot_height - 8, x < plot_left + 12 ? "start" : "middle", time_label(Time(at), span));
  }
  if (span <= hours(48)) svg += text_at(plot_left - 4, plot_height - 8, "end", "UTC");
  return svg;
}

std::string axes(const Chart& chart, const Columns& columns, double end) {
  std::string svg;
  for (const double part : {0., .5, 1.}) {
    const double y = y_of(end * part, end);
    svg += "<path class=\"grid\" d=\"M" + decimal(plot_left, 0) + " " + decimal(y, 1) + "H" + decimal(plot_right, 0) +
           "\"/>";
    svg += text_at(plot_left - 4, y + 3, "end", in_words(chart, end * part));
  }
  return svg + time_axis(chart, columns);
}

std::string bars(const Chart& chart, const Columns& columns, std::size_t column, double end) {
  std::string svg;
  double below = 0;
  const double x = x_of(column, columns);
  const double width = std::max(.5, (x_of(column + 1, columns) - x) * .9);
  for (std::size_t i = 0; i < columns.all[column].size(); ++i) {
    const double value = columns.all[column][i].value_or(0);
    if (value <= 0) continue;
    const double y = y_of(below + value, end);
    svg += rectangle(color_of(chart, i), x, y, width, std::max(.3, y_of(below, end) - y));
    below += value;
  }
  return svg;
}

// Broken where nothing is known; a point on its own is drawn as a short line.
std::string line_of(const Chart& chart, const Columns& columns, std::size_t row, double end) {
  std::string path;
  bool drawn = false;  // the column before
  for (std::size_t i = 0; i < columns.all.size(); ++i) {
    const auto& value = columns.all[i][row];
    if (value) {
      const double middle = (x_of(i, columns) + x_of(i + 1, columns)) / 2;
      path += (drawn ? "L" : "M") + decimal(middle, 1) + " " + decimal(y_of(*value, end), 1);
      if (!drawn) path += "h.1";
    }
    drawn = value.has_value();
  }
  return path.empty() ? "" : "<path class=\"line " + color_of(chart, row) + "\" d=\"" + path + "\"/>";
}

std::string told(const Chart& chart, const Values& values) {
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i)
    text += (i == 0 ? "" : ", ") + chart.rows[i].name + " " + (values[i] ? in_words(chart, *values[i]) : "not known");
  return text;
}

std::string moments(const Chart& chart, const Columns& columns, double end) {
  std::string svg;
  for (std::size_t i = 0; i < columns.all.size(); ++i) {
    const double x = x_of(i, columns);
    svg += "<g><title>" +
           escaped(to_rfc3339(chart.first + columns.step * static_cast<std::int64_t>(i)).substr(0, 16) +
                       " UTC: " + told(chart, columns.all[i]),
                   600) +
           "</title>";
    if (chart.kind != Chart::Kind::lines) svg += bars(chart, columns, i, end);
    svg += rectangle("hit", x, plot_top, x_of(i + 1, columns) - x, plot_bottom - plot_top) + "</g>";
  }
  return svg;
}

std::string legend(const Chart& chart) {
  std::string html = "<ul class=\"legend\">";
  for (std::size_t i = 0; i < std::min(chart.rows.size(), most_series); ++i)
    html += "<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\">" + rectangle(color_of(chart, i), 0, 0, 10, 10) +
            "</svg>" + escaped(chart.rows[i].name) + "</li>";
  return html + "</ul>\n";
}

std::string as_table(const Chart& chart) {
  const Columns columns = columns_of(chart, most_table_rows);
  std::vector<std::string> names{"from (UTC)"};
  for (std::size_t i = 0; i < std::min(chart.rows.size(), most_series); ++i) names.push_back("#" + chart.rows[i].name);
  Table table(chart.title, {names.begin(), names.end()});
  for (std::size_t i = 0; i < columns.all.size(); ++i) {
    std::vector<std::string> cells{
        escaped(to_rfc3339(chart.first + columns.step * static_cast<std::int64_t>(i)).substr(0, 16))};
    for (const auto& one : columns.all[i]) cells.push_back(one ? escaped(in_words(chart, *one)) : "");
    table.row(cells);
  }
  return "<details data-key=\"table " + escaped(chart.id) +
         "\"><summary>As a table</summary>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"" +
         escaped(chart.title) + "\">" + table.end() + "</div></details>\n";
}

}  // namespace

std::string to_svg(const Chart& chart) {
  const Columns columns = columns_of(chart, most_columns);
  std::string html =
      "<figure>\n<figcaption id=\"" + escaped(chart.id) + "\">" + escaped(chart.title) + "</figcaption>\n";
  const bool known = std::any_of(columns.all.begin(), columns.all.end(), [](const Values& values) {
    return std::any_of(values.begin(), values.end(), [](const auto& one) { return one.has_value(); });
  });
  if (!known) return html + dim("Nothing is known of this time yet.") + "</figure>\n";
  const double end = axis_end(chart, columns.largest);
  html += "<svg viewBox=\"0 0 360 " + decimal(plot_height, 0) + "\" role=\"img\" aria-labelledby=\"" +
          escaped(chart.id) + "\">\n" + axes(chart, columns, end);
  if (chart.kind == Chart::Kind::lines)
    for (std::size_t i = 0; i < columns.all.front().size(); ++i) html += line_of(chart, columns, i, end);
  html += moments(chart, columns, end) + "</svg>\n" + legend(chart) + as_table(chart);
  return html + "</figure>\n";
}

}  // namespace hoplock::page

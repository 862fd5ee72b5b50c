// SPDX-License-Identifier: Apache-2.0
#include "page/pictures.h"

#include <doctest/doctest.h>

namespace page_pictures_test {

using namespace hoplock;
using statistics::Span;

namespace {

statistics::Series series_of(std::size_t points) {
  statistics::Series series;
  series.from = from_millis(1'790'000'040'000);
  series.step = Seconds(60);
  for (std::size_t i = 0; i < points; ++i) {
    statistics::Figures one;
    one.accepted = 10;
    one.delivered = 8;
    one.deferred = 3;
    one.bounced = 1;
    one.proofs = {4, 2, 0, 1, 1};
    one.waiting = statistics::Waiting{i, Seconds(60 * static_cast<std::int64_t>(i))};
    series.points.emplace_back(one);
  }
  return series;
}
bool has(const std::string& html, std::string_view text) { return html.find(text) != std::string::npos; }

}  // namespace

TEST_CASE("pictures: what came and went a minute, under which proof, and what waited") {
  const std::string html = page::pictures_html(series_of(3), Span::day);
  for (const std::string_view text :
       {"accepted 10, delivered 8, deferred 3, bounced 1",
        "DANE 50 %, MTA-STS 25 %, verified 0 %, encrypted 12.5 %, in clear 12.5 %", "queued 2", "oldest 2 min",
        "<a href=\"/?span=day\" aria-current=\"page\">24 hours</a>", "<a href=\"/?span=month\">30 days</a>"}) {
    CAPTURE(text);
    CHECK(has(html, text));
  }
}

TEST_CASE("pictures: of hours they tell what it was a minute") {
  auto hours = series_of(2);
  hours.step = Seconds(3600);
  CHECK(has(page::pictures_html(hours, Span::week), "accepted 0.17, delivered 0.13"));
}

TEST_CASE("pictures: a time when nobody looked is a hole, and of nothing there is no picture") {
  auto series = series_of(3);
  series.points[1].reset();
  series.points[2]->waiting.reset();
  const std::string html = page::pictures_html(series, Span::month);
  CHECK(has(html, "accepted not known"));
  CHECK(has(html, "queued not known"));
  CHECK_FALSE(has(page::pictures_html({}, Span::day), "<svg"));
}

TEST_CASE("pictures: what is usual needs a day to be known, and is what most hours are below") {
  CHECK_FALSE(page::usual_oldest({}));
  CHECK_FALSE(page::usual_oldest(series_of(23)));
  CHECK(page::usual_oldest(series_of(24)) == std::chrono::minutes(18));
}

TEST_CASE("pictures: the span is a word of the address, and anything else a day") {
  CHECK(page::span_of("week") == Span::week);
  CHECK(page::span_of("month") == Span::month);
  for (const char* word : {"", "day", "years", "<x>"}) CHECK(page::span_of(word) == Span::day);
}

}  // namespace page_pictures_test

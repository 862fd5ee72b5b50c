// SPDX-License-Identifier: Apache-2.0
// The pictures of the status page: what the statistics' figures say of a day, a week or a month. Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "statistics/series.h"

namespace hoplock::page {

// "day" "week" "month", for the address of the page; anything else is a day.
statistics::Span span_of(std::string_view word);
// A section: which span, with links to the others, and the pictures.
std::string pictures_html(const statistics::Series& series, statistics::Span span);
// In place of it where it could not be made.
std::string no_pictures_html(const std::string& why);
// Below which age the oldest message is three quarters of the time; nothing: less than a day is known.
std::optional<Milliseconds> usual_oldest(const statistics::Series& week);

}  // namespace hoplock::page

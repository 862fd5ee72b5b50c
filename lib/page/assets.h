// SPDX-License-Identifier: Apache-2.0
// What the pages need beside themselves, served from their own origin, so that a content policy may forbid all else: the style sheet, the
// script that keeps a page up to date without losing the reader's place, and the icons that say in a browser's tab how it stands.
#pragma once
#include <optional>
#include <string_view>

namespace hoplock::page {

struct Asset {
  std::string_view type;
  std::string_view body;
};
// "/page.css", "/page.js", "/icon/good.svg"; nothing: there is none.
std::optional<Asset> asset_at(std::string_view path);

}  // namespace hoplock::page

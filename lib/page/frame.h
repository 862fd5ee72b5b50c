// SPDX-License-Identifier: Apache-2.0
// What all pages share: the head with title and icon, which carry the state, the field to search with, and the foot. Pure.
#pragma once
#include <string>

#include "http/server.h"
#include "page/verdict.h"

namespace hoplock::page {

struct Frame {
  std::string hostname;
  std::string title;  // before the host's name; "": none
  Mood mood = Mood::good;
  std::string sought;  // stands in the field
  std::string foot;    // HTML
};
// `main` is HTML. Parts of it that a script brings up to date, <section data-part="…">, are its children.
std::string in_frame(const Frame& frame, const std::string& main);
http::Reply html_reply(std::string body, unsigned status = 200);

}  // namespace hoplock::page

// SPDX-License-Identifier: Apache-2.0
// A part of the configuration that has keys of its own: it names them to a visitor. For this module's own sources.
#pragma once

namespace hoplock::config {

template <class T>
concept Section = requires(T& section, struct AnyVisitor& visitor) {
  section.template fields<struct AnyVisitor>(visitor);
};

}  // namespace hoplock::config

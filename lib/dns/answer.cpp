// SPDX-License-Identifier: Apache-2.0
#include "dns/answer.h"

namespace hoplock::dns {

std::string_view to_text(Status status) {
  switch (status) {
    case Status::records:
      return "records";
    case Status::no_data:
      return "no data";
    case Status::no_name:
      return "no such name";
    case Status::failed:
      return "failed";
  }
  return "?";
}

std::string_view to_text(Security security) {
  switch (security) {
    case Security::secure:
      return "secure";
    case Security::insecure:
      return "insecure";
    case Security::bogus:
      return "bogus";
  }
  return "?";
}

}  // namespace hoplock::dns

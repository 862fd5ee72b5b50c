// SPDX-License-Identifier: Apache-2.0
// What the owner of other tables wants written in the same transaction, so that both are stored or neither is. What it holds, only who made it and the store
// that writes it know.
#pragma once
#include <memory>

namespace hoplock::store {

class Along {
 public:
  Along() = default;
  Along(const Along&) = delete;
  Along& operator=(const Along&) = delete;
  virtual ~Along() = default;
};
using AlongPtr = std::shared_ptr<const Along>;

}  // namespace hoplock::store

// SPDX-License-Identifier: Apache-2.0
// Partners: what is in the store, read at the start and, where several nodes share it, when another one changed it.
#include <utility>

#include "route/partners.h"

namespace hoplock::route {

using boost::asio::awaitable;

namespace {

constexpr std::size_t entries_of_a_page = 512;

}  // namespace

awaitable<Result<>> Partners::load() {
  std::vector<dns::Pattern> none;
  co_return co_await read_all(std::move(none));
}

// What is committed between the two questions is read twice.
awaitable<Result<>> Partners::read_all(std::vector<dns::Pattern> changed) {
  std::optional<store::PartnerBatch> seen;
  if (kept_.look_again()) {
    const auto batches = co_await kept_.batches();
    if (!batches) co_return batches.error();
    seen = batches->committed;
  }
  auto book = std::make_shared<partners::Book>();
  std::optional<store::PartnerAt> at = store::PartnerAt{};
  while (at) {
    auto page = co_await kept_.list(*at, entries_of_a_page);
    if (!page) co_return page.error();
    for (partners::Entry& entry : page->entries) book->put(std::move(entry));
    at = std::move(page->next);
  }
  seen_ = seen;
  unclean_ = true;
  publish(std::move(book), std::move(changed));
  co_return Result<>();
}

// What other nodes changed: all of it is read anew, for what was removed leaves no trace. Where that fails, another time.
awaitable<void> Partners::see_others() {
  if (!kept_.look_again()) co_return;
  const auto batches = co_await kept_.batches();
  if (!batches || batches->committed == seen_) co_return;
  std::vector<dns::Pattern> anything{dns::Pattern{}};
  co_await read_all(std::move(anything));
}

// Our own batch is in the book, and nobody's was between.
awaitable<void> Partners::see_own() {
  if (!kept_.look_again()) co_return;
  const auto batches = co_await kept_.batches();
  if (batches && seen_ && batches->committed == *seen_ + 1) seen_ = batches->committed;
}

}  // namespace hoplock::route

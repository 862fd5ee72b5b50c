// SPDX-License-Identifier: Apache-2.0
// `hoplock partner import FILE` and `hoplock partner export`
#include <fstream>

#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/partner_orders.h"
#include "daemon/tool/partner_view.h"
#include "daemon/tool/text.h"
#include "partners/csv.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

namespace {

constexpr std::size_t most_file_octets = 64U << 20U;

Result<std::string> octets_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(errc::no_such_file_or_directory, "it cannot be read");
  std::string octets;
  std::string part(1U << 20U, '\0');
  while (file && octets.size() <= most_file_octets) {
    file.read(part.data(), static_cast<std::streamsize>(part.size()));
    octets.append(part, 0, static_cast<std::size_t>(file.gcount()));
  }
  if (file.bad()) return fail(errc::io_error, "it cannot be read");
  if (octets.size() > most_file_octets) return fail(errc::file_too_large, "it is larger than 64 MiB");
  return octets;
}

// What of the file is not as it stands there.
struct Changes {
  std::vector<std::pair<partners::Entry, partners::EntryPtr>> put;  // and what counts now in its place; null: nothing
  std::size_t unchanged = 0;
};
Result<Changes> compare(const Call& call, const std::vector<partners::Imported>& lines) {
  auto reader = readers(call.loaded.config)->partners();
  partners::Book book;
  if (reader) {
    const auto listed = (*reader)->list([&](const partners::Entry& entry) { book.put(entry); });
    if (!listed) return listed.error();
  } else if (reader.error().code != errc::no_such_file_or_directory) {
    return reader.error();
  }
  Changes changes;
  for (const partners::Imported& one : lines) {
    const auto there = book.at(one.entry.domain, one.entry.rule);
    const bool counts = there && !is_over(*there, call.console.now);
    if (counts && says_the_same(*there, one.entry)) {
      ++changes.unchanged;
    } else {
      changes.put.emplace_back(one.entry, counts ? there : nullptr);
    }
  }
  return changes;
}

void tell_imported(const Call& call, std::size_t changed, std::size_t unchanged) {
  const bool dry = call.arguments.has("--dry-run");
  if (call.arguments.json) {
    const json::object to{{"changed", changed}, {"unchanged", unchanged}, {"dry_run", dry}};
    call.console.out << to_line(to) << '\n';
    return;
  }
  call.console.out << changed << (dry ? " would be set, " : " set, ") << unchanged << " as before\n";
}

int try_import(const Call& call, const std::vector<partners::Imported>& lines) {
  const auto changes = compare(call, lines);
  if (!changes) return cannot_read(call, "the partners in", changes.error());
  if (!call.arguments.json) {
    for (const auto& [entry, before] : changes->put) {
      call.console.out << printable(sentence(entry)) << '\n';
      if (before) call.console.out << "  until now: " << printable(why(*before)) << '\n';
    }
  }
  tell_imported(call, changes->put.size(), changes->unchanged);
  return ok;
}

}  // namespace

int partner_import(const Call& call) {
  const Console& console = call.console;
  const std::string& path = call.arguments.words.front();
  const auto text = octets_of(path);
  if (!text) return complain(console, io_error, "'" + path + "': " + text.error().detail);
  auto lines = partners::parse_csv(*text, console.now);
  if (!lines) return complain(console, usage, path + ":" + lines.error().detail);
  if (lines->size() > partners::most_orders) {
    return complain(console, usage,
                    path + ": " + std::to_string(lines->size()) +
                        " entries; allowed: " + std::to_string(partners::most_orders) + " in one file");
  }
  if (call.arguments.has("--dry-run")) return try_import(call, *lines);
  std::vector<partners::Order> orders;
  for (partners::Imported& one : *lines) {
    partners::Order order;
    order.entry = std::move(one.entry);
    orders.push_back(std::move(order));
  }
  const auto answer = carry_out(call, orders);
  if (const int* failed = std::get_if<int>(&answer)) return *failed;
  const auto& done = std::get<partners::Done>(answer);
  tell_imported(call, done.changed, done.unchanged);
  return ok;
}

int partner_export(const Call& call) {
  const Console& console = call.console;
  if (call.arguments.json) return partner_list(call);
  auto reader = readers(call.loaded.config)->partners();
  if (!reader) return cannot_read(call, "the partners in", reader.error());
  console.out << partners::csv_head();
  const auto listed = (*reader)->list([&](const partners::Entry& entry) {
    if (is_over(entry, console.now)) return;
    std::string line = partners::to_csv(entry);
    line.pop_back();
    console.out << (console.width ? printable(line) : line) << '\n';
  });
  return listed ? static_cast<int>(ok) : cannot_read(call, "the partners in", listed.error());
}

}  // namespace hoplock::daemon::tool

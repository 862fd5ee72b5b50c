// SPDX-License-Identifier: Apache-2.0
// `hoplock trace …`: the history, read straight from the database.
#include "base/ascii.h"
#include "config/values.h"
#include "control/client.h"
#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/message_id.h"
#include "daemon/tool/present.h"
#include "daemon/tool/queue_view.h"
#include "daemon/tool/text.h"
#include "daemon/tool/trace_view.h"

namespace hoplock::daemon::tool {

namespace {

struct Asked {
  store::TraceQuery query;
  TraceSubject subject;
  std::string wrong;
};

// "<>", an address, an id, or a domain; what looks like an id and is none that is known may still be a domain.
Asked asked(const Call& call) {
  Asked result;
  std::string word = call.arguments.words.front();
  if (const auto since = call.arguments.get("--since")) {
    const auto duration = config::Duration::parse(*since);
    if (duration)
      result.query.since = call.console.now - duration->value;
    else
      result.wrong = "--since: " + duration.error().detail;
  }
  if (word.size() >= 2 && word.front() == '<' && word.back() == '>') word = word.substr(1, word.size() - 2);
  if (word.empty() || word.find('@') != std::string::npos) {
    const auto at = word.rfind('@');
    if (at != std::string::npos) {
      if (const auto name = dns::Name::parse(word.substr(at + 1))) word = word.substr(0, at + 1) + name->text();
    }
    result.subject.by = TraceSubject::By::address;
    result.subject.address = result.query.address = word;
  } else if (const auto id = store::Id::parse(word)) {
    result.query.id = *id;
  } else if (const auto name = dns::Name::parse(word); name && !name->is_root()) {
    result.subject.by = TraceSubject::By::domain;
    result.subject.domain = result.query.domain = name->text();
  } else {
    result.wrong = "'" + word + "' is no message's id, no address and no domain";
  }
  return result;
}

class Teller {
 public:
  Teller(const Call& call, store::MailReader& reader, TraceSubject subject)
      : call_(call), states_(reader), subject_(std::move(subject)), present_(present(call)) {}

  store::Go tell(const store::Traced& traced) {
    std::string state;
    json::array waiting;
    if (auto message = states_.show(traced.id, present_.active); message && *message) {
      state = (*message)->state();
      waiting = waiting_of(in_line(std::move(**message), present_.waiting, call_.console.now));
    }
    json::object story = to_json(traced, state);
    if (!waiting.empty()) story["waiting"] = std::move(waiting);
    if (!is_about(story, subject_)) return store::Go::on;
    auto& out = call_.console.out;
    if (call_.arguments.json) {
      out << (count_ == 0 ? "[\n" : ",\n") << to_line(story);
    } else {
      if (count_ > 0) out << '\n';
      print_story(call_.console, story);
    }
    ++count_;
    return out.good() ? store::Go::on : store::Go::stop;
  }
  std::size_t finish() const {
    if (call_.arguments.json) call_.console.out << (count_ == 0 ? "[]\n" : "\n]\n");
    return count_;
  }

 private:
  const Call& call_;
  store::MailReader& states_;
  TraceSubject subject_;
  Present present_;
  std::size_t count_ = 0;
};

}  // namespace

int trace(const Call& call) {
  Asked what = asked(call);
  if (!what.wrong.empty()) return complain(call.console, usage, what.wrong);
  auto reader = readers(call.loaded.config)->mail();
  if (!reader) return cannot_read(call, "the history in", reader.error());
  if (what.subject.by == TraceSubject::By::domain) {  // a word without a dot may be the beginning of an ID
    const auto named = named_message(**reader, call.arguments.words.front());
    if (!named) return cannot_read(call, "the history in", named.error());
    if (named->id) {
      what.query.domain.clear();
      what.subject = {};
      what.query.id = named->id;
    }
  }
  auto states = readers(call.loaded.config)->mail();
  if (!states) return cannot_read(call, "the history in", states.error());
  Teller teller(call, **states, what.subject);
  const auto read = (*reader)->trace(what.query, [&](const store::Traced& traced) { return teller.tell(traced); });
  const std::size_t found = teller.finish();
  if (!read) return cannot_read(call, "the history in", read.error());
  if (found == 0) return complain(call.console, no, "nothing is known of '" + call.arguments.words.front() + "'");
  return ok;
}

}  // namespace hoplock::daemon::tool

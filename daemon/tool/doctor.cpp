// SPDX-License-Identifier: Apache-2.0
// `hoplock doctor`: everything around the relay that an administrator would be asked about, with what to do.
#include "daemon/tool/doctor.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include <filesystem>

#include "base/version.h"
#include "config/check.h"
#include "config/files.h"
#include "control/client.h"
#include "daemon/certificates.h"
#include "daemon/file_check.h"
#include "daemon/left_mail.h"
#include "daemon/options.h"
#include "daemon/service_user.h"
#include "daemon/system.h"
#include "daemon/tool/json.h"
#include "daemon/tool/text.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

namespace {

using State = Remark::State;

// As hoplock config check does, but for what this user may not read, which is told once and is no fault.
void examine_configuration(const Call& call, std::vector<Remark>& to) {
  config::Loaded loaded = call.loaded;
  constexpr auto files = config::Files::readable_ones;
  config::check_files(loaded, files);
  if (loaded.errors.empty()) check_for_service(loaded);
  if (loaded.errors.empty()) check_file_contents(loaded, files);
  for (const auto& error : loaded.errors) to.push_back({"configuration", State::bad, error, "hoplock config check"});
  for (const auto& warning : loaded.warnings) to.push_back({"configuration", State::note, warning});
  std::string barred;
  for (const auto& one : config::named_files(loaded.config)) {
    if (config::is_barred(one.path)) barred += (barred.empty() ? "" : ", ") + one.item;
  }
  if (!barred.empty()) {
    to.push_back({"configuration", State::note, "not looked at, for you may not read the files: " + barred,
                  "as root: hoplock doctor"});
  } else if (loaded.errors.empty() && loaded.warnings.empty()) {
    to.push_back({"configuration", State::good, loaded.file});
  }
}

void tell_last_day(const Call& call, const control::Status& status, std::vector<Remark>& to) {
  constexpr std::size_t most = 5;
  constexpr std::chrono::hours day{24};
  const auto up = status.started ? call.console.now - *status.started : Milliseconds(day);
  const std::string since = up < day ? " since its start " + age(up) + " ago" : " in the last day";
  if (status.failures.empty()) to.push_back({"last day", State::good, "every attempt at a delivery went well" + since});
  for (std::size_t i = 0; i < std::min(status.failures.size(), most); ++i) {
    const auto& one = status.failures[i];
    const bool waits = one.outcome == "deferred";
    to.push_back({"last day", State::note,
                  counted(static_cast<std::uint64_t>(one.count), waits ? "attempt" : "recipient") + " " +
                      (waits ? "failed for now" : one.outcome) + since + ": " +
                      (one.reason.empty() ? "no reason that has a word" : one.reason)});
  }
  if (!status.failures.empty()) to.back().advice = "hoplock trace DOMAIN says what became of each";
}

void examine_daemon(const Call& call, std::vector<Remark>& to) {
  auto client = control::Client::connect(control_path(call.loaded.config));
  const auto status = client ? client->status() : Result<control::Status>(client.error());
  if (!status) {
    to.push_back({"daemon", State::bad, status.error().detail, "systemctl status hoplockd"});
    return;
  }
  to.push_back({"daemon", State::good, "hoplockd " + status->version + " answers"});
  if (status->version != HOPLOCK_VERSION) {
    to.back().state = State::note;
    to.back().text += ", this tool is " HOPLOCK_VERSION;
    to.back().advice = "restart the daemon to run what is installed";
  }
  for (const auto& one : status->problems) to.push_back({"health", State::bad, one.name + ": " + one.text});
  tell_last_day(call, *status, to);
}

void examine_clock(std::vector<Remark>& to) {
  timex state{};
  const int answer = adjtimex(&state);
  const bool kept = answer >= 0 && answer != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
  if (kept)
    to.push_back({"clock", State::good, "kept right by the system"});
  else
    to.push_back({"clock", State::note, "nothing keeps it right: DNSSEC, certificates and DKIM go by it",
                  "run systemd-timesyncd or chrony"});
}

void examine_files(const Call& call, std::vector<Remark>& to) {
  std::size_t good = 0;
  for (const auto& one : config::named_files(call.loaded.config)) {
    if (one.kind == config::NamedFile::Kind::other || config::is_barred(one.path))
      continue;  // told with the configuration
    struct stat about {};
    if (stat(one.path.c_str(), &about) != 0) {
      to.push_back(
          {"files", State::bad, one.item + ": '" + one.path + "' cannot be looked at", "hoplock config check"});
    } else if (one.is_secret() && (about.st_mode & (S_IROTH | S_IWOTH)) != 0) {
      to.push_back({"files", State::bad, one.item + ": every user of this machine can read '" + one.path + "'",
                    "chown root:hoplock '" + one.path + "' && chmod 0640 '" + one.path + "'"});
    } else {
      ++good;
    }
  }
  if (good > 0) to.push_back({"files", State::good, counted(good, "key, certificate or password file") + " in order"});
}

void examine_space(const Call& call, std::vector<Remark>& to) {
  const std::string path = std::filesystem::path(database_path(call.loaded.config)).parent_path().string();
  struct statvfs about {};
  if (statvfs(path.c_str(), &about) != 0) {
    to.push_back({"space", State::bad, "'" + path + "' cannot be looked at", "start hoplockd, which makes it"});
    return;
  }
  const std::uint64_t room = static_cast<std::uint64_t>(about.f_bavail) * about.f_frsize;
  const std::uint64_t least = call.loaded.config.queue.min_free_space;
  const std::string text = size(room) + " free for '" + path + "', " + size(least) + " are kept free";
  if (room < least)
    to.push_back({"space", State::bad, text, "make room: new mail is refused with 452 until then"});
  else
    to.push_back({"space", room < 4 * least ? State::note : State::good, text});
}

Remark about_certificate(const Call& call, const CertificateFile& file, const OwnCertificate& one) {
  constexpr std::chrono::days soon{30}, now_or_never{7};
  const auto left = one.expires - call.console.now;
  const bool presses = left < now_or_never && !one.replaced;
  Remark remark{"certificates",
                presses       ? State::bad
                : left < soon ? State::note
                              : State::good,
                file.configured + ": '" + file.certificate + "'" +
                    (one.subject.empty() ? "" : ", " + one.subject + ",") +
                    (left < Milliseconds(0) ? " ended " : " ends ") + moment(one.expires)};
  if (left < soon)
    remark.advice = one.replaced
                        ? "another authority of the file takes its place: take this one out when no client needs it"
                        : "renew it: the changed file is taken up by itself";
  return remark;
}

// The same files, and of a chain the same certificates, that the daemon watches.
void examine_certificates(const Call& call, std::vector<Remark>& to) {
  const auto self_signed = self_signed_files(call.loaded.config).certificate;
  for (const CertificateFile& file : certificate_files(call.loaded.config)) {
    if (config::is_barred(file.certificate)) continue;  // told with the configuration
    const auto all = read_certificates({file});
    for (const OwnCertificate& one : all) to.push_back(about_certificate(call, file, one));
    if (all.empty() && file.certificate == self_signed)
      to.push_back({"certificates", State::note, "'" + file.certificate + "' is not there yet",
                    "hoplockd makes it at its start"});
    else if (all.empty())
      to.push_back(
          {"certificates", State::bad, file.configured + ": '" + file.certificate + "' holds no certificate", ""});
  }
}

void examine_left(const Call& call, std::vector<Remark>& to) {
  const std::uint64_t left = left_in_file(call.loaded.config);
  if (left == 0) return;
  to.push_back(
      {"queue", State::bad,
       counted(left, "message") + " in '" + database_path(call.loaded.config) + "', which `store` does not name",
       std::string(advice_for_left)});
}

void examine_queue(const Call& call, std::vector<Remark>& to) {
  constexpr std::size_t most = 5;
  auto reader = readers(call.loaded.config)->mail();
  const auto stats = reader ? (*reader)->stats({}) : Result<store::Stats>(reader.error());
  if (!stats) {
    to.push_back({"queue", State::bad, stats.error().detail});
    return;
  }
  std::string words = counted(stats->messages, "message");
  if (stats->oldest) words += ", the oldest " + age(call.console.now - *stats->oldest) + " old";
  to.push_back({"queue", State::good, words});
  std::size_t shown = 0;
  for (const auto& one : stats->hops) {
    if (one.reason.empty() || one.reason == "held" || ++shown > most) continue;
    const auto domain =
        dns::Name::parse(one.name);  // else several domains share it: a route, or the hosts of a provider
    to.push_back({"queue", State::note,
                  counted(one.count.count, "recipient") + (one.count.count == 1 ? " waits for " : " wait for ") +
                      one.name + ": " + one.reason,
                  domain ? "hoplock check " + domain->text() : "hoplock queue list says what waits for it, and why"});
  }
}

Tint tint_of(Remark::State state) {
  return state == State::good ? Tint::good : state == State::note ? Tint::note : Tint::bad;
}

json::value remarks_to_json(const std::vector<Remark>& remarks) {
  json::array all;
  for (const Remark& one : remarks) {
    json::object object;
    object["about"] = one.about;
    object["state"] = to_text(one.state);
    object["text"] = clean(one.text);
    object["advice"] = text_or_null(one.advice);
    all.push_back(std::move(object));
  }
  return all;
}

}  // namespace

std::string_view to_text(Remark::State state) {
  switch (state) {
    case Remark::State::good:
      return "ok";
    case Remark::State::note:
      return "note";
    case Remark::State::bad:
      return "bad";
  }
  return "";
}

std::vector<Remark> examine_machine(const Call& call) {
  std::vector<Remark> all;
  examine_configuration(call, all);
  examine_daemon(call, all);
  examine_clock(all);
  examine_files(call, all);
  examine_space(call, all);
  examine_certificates(call, all);
  examine_queue(call, all);
  examine_left(call, all);
  return all;
}

int doctor(const Call& call) {
  auto remarks = examine_machine(call);
  for (Remark& one : examine_network(call)) remarks.push_back(std::move(one));
  const auto bad =
      std::count_if(remarks.begin(), remarks.end(), [](const Remark& one) { return one.state == State::bad; });
  const Console& console = call.console;
  if (call.arguments.json) {
    console.out << to_line(remarks_to_json(remarks)) << '\n';
    return bad == 0 ? ok : no;
  }
  Table table(console.out, console.width,
              {{"", Table::Align::left, Table::Give::none},
               {"ABOUT", Table::Align::left, Table::Give::none},
               {"FOUND", Table::Align::left, Table::Give::lines}});
  for (const Remark& one : remarks) {
    const Tint tint = console.colour == Console::Colour::ansi ? tint_of(one.state) : Tint::none;
    table.add({std::string(to_text(one.state)), one.about, one.text}, one.advice.empty() ? "" : "→ " + one.advice,
              tint);
  }
  table.finish();
  console.out << '\n'
              << (bad == 0 ? "Nothing needs a hand.\n"
                           : counted(static_cast<std::uint64_t>(bad), "thing") + " to mend.\n");
  return bad == 0 ? ok : no;
}

}  // namespace hoplock::daemon::tool

// SPDX-License-Identifier: Apache-2.0
#include "postgres/link.h"

#include <openssl/ssl.h>

#include <regex>
#include <utility>

#include "postgres/big_endian.h"
#include "postgres/errors.h"
#include "postgres/libpq.h"

namespace hoplock::postgres {
namespace {

constexpr int oldest_server = 150000;
constexpr std::size_t most_prepared = 500;

// libpq's own reasons have no SQLSTATE.
bool is_warning(const PGresult* result) {
  const char* severity = pq().PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  return severity != nullptr && std::string_view(severity) == "WARNING";
}

std::string field(const PGresult* result, int code) {
  const char* text = pq().PQresultErrorField(result, code);
  return text == nullptr ? "" : text;
}

std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '\n' ? ' ' : c;
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

// Why libpq could not connect. It keeps the SQLSTATE of a refusal to itself, but for its text: "FATAL:  28P01: password …\nLOCATION: …".
Error why_not_connected(pg_conn* connection) {
  const std::string text = pq().PQerrorMessage(connection);
  static const std::regex state("([A-Z]+:  )([0-9A-Z]{5}): ([^\n]*)");
  std::smatch found;
  if (std::regex_search(text, found, state)) return sql_error(found[2].str(), found[3].str());
  return fail(errc::device_or_resource_busy, one_line(text));
}

std::string server_options(Use use) {
  // What a statement waits for ends before our own deadline does. A client that is gone ends its server soon, for it may hold locks.
  std::string text =
      "-c lock_timeout=5000 -c idle_in_transaction_session_timeout=10000 -c tcp_keepalives_idle=4 -c "
      "tcp_keepalives_interval=2"
      " -c tcp_keepalives_count=3 -c tcp_user_timeout=10000 -c client_connection_check_interval=2000 -c "
      "client_encoding=UTF8";
  // A queue that is empty when its tables are looked at may have a million rows a minute later: plans are by index and for any values.
  text += " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_mergejoin=off -c jit=off";
  if (use == Use::read_only) text += " -c default_transaction_read_only=on";
  return text;
}

void add_tls(std::map<std::string, std::string>& settings, const Host& host, const Options& options) {
  if (options.tls == Tls::off || host.is_local()) {
    settings["sslmode"] = "disable";
    return;
  }
  settings["sslmode"] = options.tls == Tls::verify_full ? "verify-full" : "verify-ca";
  settings["sslrootcert"] = options.ca_file.empty() ? "/etc/ssl/certs/ca-certificates.crt" : options.ca_file.string();
}

}  // namespace

void Link::Close::operator()(pg_conn* connection) const { pq().PQfinish(connection); }

Link::Link(pg_conn* connection) : notices_(std::make_unique<Notices>()), connection_(connection) {
  const auto receive = [](void* notices, const PGresult* result) {
    if (is_warning(result))
      static_cast<Notices*>(notices)->warning =
          field(result, PG_DIAG_SQLSTATE) + " " + field(result, PG_DIAG_MESSAGE_PRIMARY);
  };
  pq().PQsetNoticeReceiver(connection, receive, notices_.get());
  pq().PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);  // for why_not_connected()
}

Result<Link> Link::start(const Target& target, const Host& host, const Options& options, Use use,
                         const std::string& application) {
  auto password = read_password(options);
  if (!password) return password.error();
  std::map<std::string, std::string> settings(target.settings.begin(), target.settings.end());
  settings["host"] = host.name;
  settings["hostaddr"] = host.numeric;
  settings["port"] = host.port;
  settings["options"] += (settings["options"].empty() ? "" : " ") + server_options(use);
  settings["application_name"] = application;
  settings["client_encoding"] = "UTF8";
  settings["target_session_attrs"] = "any";  // which it is, is looked at by connect()
  settings["gssencmode"] = "disable";        // it would wait
  settings["keepalives"] = "1";
  settings["keepalives_idle"] = settings["keepalives_interval"] = "2";
  settings["keepalives_count"] = "3";
  settings["tcp_user_timeout"] = "5000";
  if (!password->empty()) settings["password"] = *password;
  add_tls(settings, host, options);
  std::vector<const char*> keys, values;
  for (const auto& [key, value] : settings) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  pg_conn* connection = pq().PQconnectStartParams(keys.data(), values.data(), 0);
  if (connection == nullptr) return fail(errc::not_enough_memory, "no memory for a connection");
  Link link(connection);
  if (pq().PQstatus(connection) == CONNECTION_BAD) return why_not_connected(connection);
  return link;
}

Result<Link::Wants> Link::connect(Use use) {
  switch (pq().PQconnectPoll(connection_.get())) {
    case PGRES_POLLING_READING:
      return Wants{true, false};
    case PGRES_POLLING_WRITING:
      return Wants{false, true};
    case PGRES_POLLING_OK:
      break;
    default:
      return why_not_connected(connection_.get());
  }
  pg_conn* connection = connection_.get();
  if (pq().PQserverVersion(connection) < oldest_server)
    return fail(errc::not_supported, "the server is PostgreSQL " +
                                         std::to_string(pq().PQserverVersion(connection) / 10'000) +
                                         ", and 15 is the oldest");
  const auto says = [connection](const char* name) {
    const char* value = pq().PQparameterStatus(connection, name);
    return value != nullptr && std::string_view(value) == "on";
  };
  if (says("in_hot_standby")) return fail(errc::read_only_file_system, "the server is a standby");
  if (use == Use::read_write && says("default_transaction_read_only"))
    return fail(errc::read_only_file_system, "the server lets nothing be written");
  pq().PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
  if (pq().PQsetnonblocking(connection, 1) != 0 || pq().PQenterPipelineMode(connection) != 1)
    return why_not_connected(connection);
  notices_->warning.clear();
  return Wants{};
}

int Link::socket() const { return pq().PQsocket(connection_.get()); }

const std::string& Link::warning() const { return notices_->warning; }

std::string Link::why() const { return why_; }

void Link::lose(std::string why) {
  if (lost_) return;
  lost_ = true;
  why_ = why.empty() ? "the connection was lost" : std::move(why);
}

bool Link::has_decrypted() const {
  auto* tls = static_cast<SSL*>(pq().PQsslStruct(connection_.get(), "OpenSSL"));
  return tls != nullptr && SSL_pending(tls) > 0;
}

void Link::send(const Batch& batch, const Filling& filling) {
  const std::size_t segment = segments_.size();
  segments_.emplace_back();
  std::map<std::string, std::string> pending;
  for (std::size_t i = 0; i < batch.size(); ++i)
    send_statement(batch[i], filling, pending, {Kind::statement, segment, i, {}, {}});
  if (!lost_ && pq().PQpipelineSync(connection_.get()) != 1) lose(one_line(pq().PQerrorMessage(connection_.get())));
  expected_.push_back({Kind::sync, segment, batch.size(), {}, {}});
}

void Link::send_statement(const Statement& statement, const Filling& filling,
                          std::map<std::string, std::string>& pending, Expected place) {
  std::vector<Oid> types;
  std::vector<std::string> filled(statement.parameters.size());
  std::vector<const char*> values;
  std::vector<int> lengths, formats(statement.parameters.size(), 1);
  for (std::size_t i = 0; i < statement.parameters.size(); ++i) {
    const Parameter& one = statement.parameters[i];
    const std::string* octets = &one.octets();
    if (one.filled() != Parameter::Filled::here) {
      append_big_endian(filled[i], one.filled() == Parameter::Filled::incarnation ? filling.incarnation
                                   : one.filled() == Parameter::Filled::batch     ? filling.batch
                                                                                  : std::int64_t{filling.slot});
      octets = &filled[i];
    }
    types.push_back(one.type());
    values.push_back(one.null() ? nullptr : octets->data());
    lengths.push_back(static_cast<int>(octets->size()));
  }
  const int count = static_cast<int>(values.size());
  pg_conn* to = connection_.get();
  int sent = 1;
  const auto known = prepared_.find(statement.sql);
  auto name = known != prepared_.end() ? known->second : std::string();
  if (const auto just = pending.find(statement.sql); name.empty() && just != pending.end()) name = just->second;
  const bool unnamed = name.empty() && prepared_.size() + pending.size() >= most_prepared;
  if (name.empty() && !unnamed) {
    name = "s" + std::to_string(++names_);
    pending[statement.sql] = name;
    if (!lost_) sent = pq().PQsendPrepare(to, name.c_str(), statement.sql.c_str(), count, types.data());
    expected_.push_back({Kind::prepare, place.segment, place.statement, statement.sql, name});
  }
  if (!lost_ && sent == 1)
    sent = unnamed
               ? pq().PQsendQueryParams(to, statement.sql.c_str(), count, types.data(), values.data(), lengths.data(),
                                        formats.data(), 1)
               : pq().PQsendQueryPrepared(to, name.c_str(), count, values.data(), lengths.data(), formats.data(), 1);
  if (sent != 1) lose(one_line(pq().PQerrorMessage(to)));
  expected_.push_back(std::move(place));
}

Link::Wants Link::advance() {
  if (lost_) return {};
  pg_conn* connection = connection_.get();
  bool wants_write = false;
  std::string why;
  if (const int flushed = pq().PQflush(connection); flushed < 0)
    why = pq().PQerrorMessage(connection);
  else
    wants_write = flushed == 1;
  do {
    if (pq().PQconsumeInput(connection) != 1) why = pq().PQerrorMessage(connection);
    collect();  // also what came before the end
  } while (why.empty() && has_decrypted());
  if (!why.empty() || pq().PQstatus(connection) == CONNECTION_BAD) lose(one_line(why));
  return {true, wants_write};
}

void Link::collect() {
  pg_conn* connection = connection_.get();
  bool answered = false;  // the first expected has a result, and ends with the next nothing
  while (!expected_.empty() && !lost_ && pq().PQisBusy(connection) == 0) {
    std::shared_ptr<PGresult> result(pq().PQgetResult(connection), pq().PQclear);
    if (!result) {
      if (!answered) return;
      answered = false;
      expected_.pop_front();
      continue;
    }
    const Expected what = expected_.front();
    if (what.kind == Kind::sync) {
      if (pq().PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) expected_.pop_front();
      continue;
    }
    answered = true;
    note(what, std::move(result));
  }
}

void Link::note(const Expected& what, std::shared_ptr<const pg_result> result) {
  Segment& segment = segments_[what.segment];
  switch (pq().PQresultStatus(result.get())) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
      if (what.kind == Kind::prepare)
        prepared_[what.sql] = what.name;
      else
        segment.answer.emplace_back(std::move(result));
      return;
    case PGRES_PIPELINE_ABORTED:
      return;
    case PGRES_FATAL_ERROR:
      return note_error(what, *result);
    default:
      return lose("the server answered what was not asked for");
  }
}

void Link::note_error(const Expected& what, const pg_result& result) {
  const std::string severity = field(&result, PG_DIAG_SEVERITY_NONLOCALIZED), state = field(&result, PG_DIAG_SQLSTATE);
  if (severity != "ERROR" || state.empty())
    return lose(one_line(state.empty() ? pq().PQresultErrorMessage(&result) : field(&result, PG_DIAG_MESSAGE_PRIMARY)));
  Segment& segment = segments_[what.segment];
  if (segment.error) return;
  segment.error = sql_error(state, field(&result, PG_DIAG_MESSAGE_PRIMARY));
  segment.at = what.statement;
}

std::vector<Segment> Link::take() {
  for (const Expected& missing : expected_) segments_[missing.segment].lost = true;
  if (!expected_.empty()) lose("not all of the answer came");
  expected_.clear();
  notices_->warning.clear();
  return std::exchange(segments_, {});
}

std::vector<std::string> Link::notifications() {
  std::vector<std::string> payloads;
  while (PGnotify* one = pq().PQnotifies(connection_.get())) {
    payloads.emplace_back(one->extra);
    pq().PQfreemem(one);
  }
  return payloads;
}

}  // namespace hoplock::postgres

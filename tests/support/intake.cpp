// SPDX-License-Identifier: Apache-2.0
#include "tests/support/intake.h"

#include <stdexcept>
#include <utility>

#include "net/tls_server.h"
#include "store_sqlite/mail_reader.h"

namespace hoplock::support {

namespace asio = boost::asio;

namespace {
Time now() { return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()); }

template <class T>
T good(Result<T> result) {
  if (!result) throw std::runtime_error("intake: " + result.error().detail);
  return std::move(*result);
}

void good(const Result<>& result) {
  if (!result) throw std::runtime_error("intake: " + result.error().detail);
}

smtp::Mailbox mailbox(std::string_view text) { return std::get<smtp::Mailbox>(smtp::Mailbox::parse(text)); }
}  // namespace

std::string Intake::Stored::body() const {
  std::size_t end = content.find("\r\n");
  while (end != std::string::npos && end + 2 < content.size() && content[end + 2] == '\t')
    end = content.find("\r\n", end + 2);
  return content.substr(end + 2);
}

listener::Address Intake::address(int last, smtp::TlsMode tls) {
  listener::Address address;
  address.at = {*Ip::parse("127.0.0." + std::to_string(last)), 0};
  address.tls = tls;
  address.allow = {*Network::parse("127.0.0.1")};
  return address;
}

listener::Options Intake::usual() {
  listener::Options options;
  options.addresses = {address(1, smtp::TlsMode::starttls)};
  options.hostname = *dns::Name::parse(intake_name);
  options.postmaster = mailbox("admin@example.com");
  return options;
}

queue::Options Intake::roomy() {
  queue::Options options;
  options.min_free_space = 0;
  return options;
}

Intake::Intake(listener::Options options, queue::Options queue_options) {
  renew_certificate();
  disk::Options disk_options;
  disk_options.directory = directory_.file("data");
  disk_options.migrations = store_sqlite::mail_migrations();
  disk_ = good(disk::Disk::open(io_.get_executor(), disk_options));
  mail_.emplace(*disk_);
  queue_.emplace(*mail_, queue_options, [](const dns::Name& domain) { return domain.text(); });
  server_.emplace(io_.get_executor(), *queue_, log_);
  thread_ = std::thread([this] { io_.run(); });
  try {
    good(asio::co_spawn(io_, queue_->start(now()), asio::use_future).get());
    if (const auto error = open(std::move(options))) throw std::runtime_error("intake: " + error->error.detail);
    for (const auto& endpoint : bound()) ports_.push_back(endpoint.port);
  } catch (...) {
    io_.stop();
    thread_.join();
    throw;
  }
}

Intake::~Intake() {
  stop(std::chrono::milliseconds(0));
  on_loop([this] { server_.reset(); });
  work_.reset();
  thread_.join();
  queue_.reset();
  disk_.reset();
}

void Intake::renew_certificate() {
  const std::string name = "tls" + std::to_string(++certificates_);
  certificate_ = {directory_.file(name + ".pem"), directory_.file(name + ".key")};
  good(net::write_self_signed(intake_name, certificate_));
}

listener::Options Intake::with_certificate(listener::Options options) const {
  for (auto& address : options.addresses) address.certificate = certificate_;
  return options;
}

std::optional<listener::ListenError> Intake::open(listener::Options options) {
  return on_loop([this, full = with_certificate(std::move(options))] { return server_->open(full); });
}

std::vector<net::Endpoint> Intake::bound() {
  return on_loop([this] { return server_->bound(); });
}

std::vector<std::string> Intake::missing() {
  return on_loop([this] { return server_->missing(); });
}

bool Intake::prepare_and_drop(listener::Options options) {
  return on_loop([this, full = with_certificate(std::move(options))] {
    return std::holds_alternative<std::shared_ptr<listener::Server::Plan>>(server_->prepare(full));
  });
}

listener::Counts Intake::counts() {
  return on_loop([this] { return server_->counts(); });
}

void Intake::set_store(There there) {
  on_loop([this, there] { mail_->away = there == There::no; });
}

void Intake::wait_idle() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (counts().open > 0) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("intake: a session does not end");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void Intake::wait_idle_disk() {
  auto nothing = [](disk::Tx&) -> Result<> { return {}; };
  good(asio::co_spawn(io_, disk_->run(disk::Durability::durable, nothing), asio::use_future).get());
}

void Intake::sweep() {
  while (!good(asio::co_spawn(io_, queue_->sweep(1U << 20U), asio::use_future).get()).end) {
  }
}

asio::awaitable<void> Intake::stop_by(listener::Server& server, std::chrono::milliseconds time) {
  co_await server.stop(std::chrono::steady_clock::now() + time);
}

std::future<void> Intake::begin_stop(std::chrono::milliseconds time) {
  return asio::co_spawn(io_, stop_by(*server_, time), asio::use_future);
}

void Intake::stop(std::chrono::milliseconds time) { begin_stop(time).get(); }

std::int64_t Intake::rows(const std::string& table) const {
  auto db = good(disk::open_read_only(disk_->path()));
  return db.integer("SELECT count(*) FROM " + table);
}

std::vector<Intake::Stored> Intake::stored() const {
  auto reader = good(store_sqlite::SqliteMailReader::open(disk_->path()));
  std::vector<Stored> all;
  good(reader.list({}, [&](const store::MessageView& view) {
    Stored one;
    one.id = view.id;
    one.envelope = view.envelope;
    for (const auto& recipient : view.recipients) one.recipients.push_back(recipient.address);
    all.push_back(std::move(one));
    return store::Go::on;
  }));
  for (auto& one : all) {
    good(reader.body(one.id, [&one](std::string_view octets) {
      one.content += octets;
      return store::Go::on;
    }));
  }
  return all;
}

}  // namespace hoplock::support

#include "delivery/courier.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>

#include "base/ascii.h"

namespace hoplock::delivery {

namespace {

Time now() { return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()); }

std::string host_text(const route::Host& host) {
  return host.origin == route::Host::Origin::literal ? host.literal.literal() : host.name.text();
}
std::string host_key(const route::Host& host) { return host_text(host) + ":" + std::to_string(host.port); }

// What a route adds to its sessions; read when a session is opened, so a renewed file counts without a reload.
struct Credentials {
  std::shared_ptr<const net::ClientCertificate> certificate;
  std::shared_ptr<const Login> login;
};

Result<Credentials> load_credentials(const route::Route& route) {
  Credentials loaded;
  if (!route.client_certificate.empty()) {
    auto certificate = net::ClientCertificate::load({route.client_certificate, route.client_key});
    if (!certificate) return certificate.error();
    loaded.certificate = std::move(*certificate);
  }
  if (!route.username.empty()) {
    std::ifstream in(route.password_file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (!in && text.empty())
      return fail(errc::io_error, "the password file '" + route.password_file + "' cannot be read");
    loaded.login = std::make_shared<const Login>(Login{route.username, std::string(trim(text))});
  }
  return loaded;
}

}  // namespace

std::string Hop::where() const { return ip && mx != ip->literal() ? mx + "[" + ip->text() + "]" : mx; }

// The state of one attempt.
class Run {
 public:
  Run(Courier& courier, queue::Job job, std::optional<OpenSession>& session)
      : courier_(courier), job_(std::move(job)), session_(session) {
    attempt_.id = job_.id;
    attempt_.destination = job_.destination;
    attempt_.sender = job_.envelope.sender;
    attempt_.received = job_.received;
    for (std::size_t i = 0; i < job_.recipients.size(); ++i) {
      RecipientOutcome outcome;
      outcome.due = job_.recipients[i];
      attempt_.recipients.push_back(std::move(outcome));
      open_.push_back(i);
    }
  }

  asio::awaitable<Attempt> go() {
    auto found = co_await courier_.router_.find(job_.recipients.front().domain);
    if (auto* none = std::get_if<route::NoHosts>(&found)) {
      if (none->route) attempt_.note = none->route->note;
      attempt_.no_hosts = std::move(*none);
    } else {
      hosts_ = std::get<route::Hosts>(std::move(found));
      if (hosts_.route) attempt_.note = hosts_.route->note;
      prefer_open_session();
      for (const route::Host& host : hosts_.hosts) {
        if (open_.empty()) break;
        co_await try_host(host);
      }
    }
    attempt_.ended = now();
    co_return std::move(attempt_);
  }

 private:
  // Hosts of the best preference come in random order; the one that a session is open to goes first.
  void prefer_open_session() {
    if (!session_) return;
    const auto best = hosts_.hosts.front().preference;
    const auto end = std::find_if(hosts_.hosts.begin(), hosts_.hosts.end(),
                                  [&](const auto& host) { return host.preference != best; });
    const auto mine =
        std::find_if(hosts_.hosts.begin(), end, [&](const auto& host) { return host_key(host) == session_->host; });
    if (mine != end) std::rotate(hosts_.hosts.begin(), mine, mine + 1);
  }

  Hop hop_of(const route::Host& host, hop::Policy policy, dns::Security mx_security) const {
    Hop hop;
    hop.mx = host_text(host);
    hop.policy = policy;
    hop.mx_security = mx_security;
    return hop;
  }

  void add_hop(Hop hop) {
    if (!attempt_.hops.empty()) {
      Hop& last = attempt_.hops.back();
      if (last.refusal && last.action == Hop::Action::none) last.action = Hop::Action::next_host;
    }
    attempt_.hops.push_back(std::move(hop));
  }

  asio::awaitable<void> try_host(route::Host host) {
    const hop::HostFacts facts = co_await courier_.router_.look(host);
    const hop::Plan plan = hop::decide(hop::Facts{hosts_.domain, facts}, hosts_.rule);
    if (const auto* refuse = std::get_if<hop::Refuse>(&plan)) {
      Hop refused = hop_of(host, refuse->policy, hosts_.domain.mx_security);
      refused.definite = !refuse->reason;
      refused.refusal = hop::Refusal{refuse->reason.value_or(hop::Reason::dns_failure), refuse->text};
      add_hop(std::move(refused));
      co_return;
    }
    const hop::Connect& connect = std::get<hop::Connect>(plan);
    if (session_ && fits(host, facts, connect)) {
      if (co_await use_open_session()) co_return;
    }
    co_await leave_session();
    for (const Ip& ip : facts.addresses) {
      if (open_.empty()) co_return;
      if (co_await try_address(host, ip, connect)) co_return;
    }
  }

  bool fits(const route::Host& host, const hop::HostFacts& facts, const hop::Connect& plan) const {
    return session_->client->usable() && session_->host == host_key(host) && session_->digest == hop::digest(plan) &&
           std::find(facts.addresses.begin(), facts.addresses.end(), session_->ip) != facts.addresses.end();
  }

  // False: the session turned out to be dead before the server said anything of this mail; a new one may do better.
  asio::awaitable<bool> use_open_session() {
    attempt_.reached = true;
    add_hop(session_->hop);
    const bool heard = co_await transact();
    if (!heard) attempt_.hops.pop_back();
    co_return heard;
  }

  // True: this host has had its say; false: its next address.
  asio::awaitable<bool> try_address(route::Host host, Ip ip, hop::Connect plan) {
    const hop::Connect original = plan;
    for (;;) {
      Hop hop = hop_of(host, plan.policy, plan.mx_security);
      hop.ip = ip;
      Opened opened = co_await connect(host, ip, plan);
      hop.tls = opened.outcome.tls;
      if (opened.outcome.dane) hop.matched = opened.outcome.dane->matched;
      const hop::Next next = hop::after(plan, opened.outcome);
      if (const auto* refused = std::get_if<hop::NextHost>(&next)) {
        hop.refusal = refused->why;
        add_hop(std::move(hop));
        co_return false;
      }
      if (const auto* retry = std::get_if<hop::RetryInClear>(&next)) {
        hop.refusal = retry->why;
        hop.action = retry->rule == hop::OnFailure::audit ? Hop::Action::audit : Hop::Action::plaintext;
        add_hop(std::move(hop));
        plan = hop::in_clear(plan, *retry);
        continue;
      }
      const auto& proceed = std::get<hop::Proceed>(next);
      hop.policy = proceed.policy;
      hop.auth = proceed.auth;
      if (proceed.waived) {
        hop.refusal = proceed.waived;
        hop.action = Hop::Action::audit;
      }
      attempt_.reached = true;
      OpenSession session;
      session.client = std::move(opened.client);
      session.host = host_key(host);
      session.ip = ip;
      session.digest = hop::digest(original);
      session.hop = hop;
      session_ = std::move(session);
      add_hop(std::move(hop));
      co_await transact();
      co_return true;
    }
  }

  asio::awaitable<Opened> connect(route::Host host, Ip ip, hop::Connect plan) {
    Target target;
    target.at = net::Endpoint{ip, host.port};
    target.plan = std::move(plan);
    if (hosts_.route) {
      auto credentials = load_credentials(*hosts_.route);
      if (!credentials) {
        Opened failed;
        failed.outcome.failure = hop::Refusal{hop::Reason::validation_failure, credentials.error().detail};
        co_return failed;
      }
      target.certificate = std::move(credentials->certificate);
      target.login = std::move(credentials->login);
    }
    const auto tls = courier_.tls_;
    co_return co_await Client::open(std::move(target), *tls, courier_.options_);
  }

  // Transactions over the open session until nobody is left for whom another one makes sense. False: not a word was heard.
  asio::awaitable<bool> transact() {
    const std::size_t hop = attempt_.hops.size() - 1;
    std::vector<std::size_t> batch = open_;
    bool heard = false;
    while (!batch.empty()) {
      smtp::Envelope envelope = envelope_of(batch);
      Content content = content_of();
      const smtp::Settled settled = co_await session_->client->send(std::move(envelope), std::move(content));
      std::vector<std::size_t> later;
      bool progress = false;
      for (std::size_t i = 0; i < batch.size(); ++i) {
        const smtp::RecipientFate& fate = settled.recipients[i];
        heard = heard || fate.fate != smtp::Fate::unanswered;
        progress = progress || fate.fate == smtp::Fate::accepted;
        if (fate.fate == smtp::Fate::later) later.push_back(batch[i]);
        take_fate(batch[i], fate, hop);
        // MX-12: the content went out and no answer came; another host now would make sure of a duplicate
        if (settled.next == smtp::Settled::Next::content && fate.fate == smtp::Fate::unanswered)
          done_.push_back(batch[i]);
      }
      // MX-13: what was too much for one transaction goes in the next, as long as each carries something
      batch = progress && session_->client->usable() ? std::move(later) : std::vector<std::size_t>{};
    }
    if (!done_.empty() && !attempt_.hops[hop].refusal) note_refusal(hop, done_.front());
    std::erase_if(open_, [&](std::size_t i) {
      return attempt_.recipients[i].fate != Fate::deferred || std::find(done_.begin(), done_.end(), i) != done_.end();
    });
    const bool usable =
        session_->client->usable() && session_->client->transactions() < courier_.options_.messages_per_session;
    if (!open_.empty() && !attempt_.hops[hop].refusal) note_refusal(hop, open_.front());
    if (!usable || !open_.empty()) co_await leave_session();
    co_return heard;
  }

  void take_fate(std::size_t index, const smtp::RecipientFate& fate, std::size_t hop) {
    RecipientOutcome& outcome = attempt_.recipients[index];
    outcome.hop = hop;
    outcome.reply.reset();
    if (fate.reply.code != 0) outcome.reply = fate.reply;
    if (fate.fate == smtp::Fate::accepted) outcome.fate = Fate::delivered;
    if (fate.fate == smtp::Fate::refused) outcome.fate = Fate::bounced;
  }

  // Why this host leaves recipients waiting: what the hop's own log line says when another host is tried.
  void note_refusal(std::size_t hop, std::size_t recipient) {
    const RecipientOutcome& first = attempt_.recipients[recipient];
    Hop& noted = attempt_.hops[hop];
    if (noted.action == Hop::Action::audit) return;
    noted.refusal = first.reply
                        ? hop::Refusal{hop::Reason::smtp_reply, first.reply->one_line()}
                        : hop::Refusal{hop::Reason::connection_lost, "the connection was lost during the transaction"};
  }

  smtp::Envelope envelope_of(const std::vector<std::size_t>& batch) const {
    smtp::Envelope envelope;
    if (const auto sender = smtp::Mailbox::parse(job_.envelope.sender);
        const auto* good = std::get_if<smtp::Mailbox>(&sender)) {
      envelope.sender = *good;
    }
    for (const std::size_t i : batch) {
      const auto parsed = smtp::Mailbox::parse(job_.recipients[i].address);
      smtp::Recipient recipient;
      if (const auto* good = std::get_if<smtp::Mailbox>(&parsed)) recipient.mailbox = *good;
      envelope.recipients.push_back(std::move(recipient));
    }
    envelope.body = job_.envelope.body == queue::Body::seven_bit ? smtp::Body::seven_bit : smtp::Body::eight_bit_mime;
    envelope.size = job_.size;
    return envelope;
  }

  Content content_of() const {
    Content content;
    content.whole = job_.body;
    content.chunks = job_.chunks;
    queue::Queue& queue = courier_.queue_;
    const queue::Id id = job_.id;
    content.read = [&queue, id](std::uint32_t n) { return queue.read_chunk(id, n); };
    return content;
  }

  asio::awaitable<void> leave_session() {
    if (!session_) co_return;
    OpenSession old = std::move(*session_);
    session_.reset();
    co_await old.client->quit();
  }

  Courier& courier_;
  queue::Job job_;
  std::optional<OpenSession>& session_;
  route::Hosts hosts_;
  Attempt attempt_;
  std::vector<std::size_t> open_;  // recipients that still wait, as indices
  std::vector<std::size_t> done_;  // of those that stay deferred: no further host may hear of them in this attempt
};

asio::awaitable<Attempt> Courier::attempt(queue::Job job, std::optional<OpenSession>& session) {
  Run run(*this, std::move(job), session);
  co_return co_await run.go();
}

}  // namespace hoplock::delivery

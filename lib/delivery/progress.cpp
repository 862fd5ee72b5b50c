// SPDX-License-Identifier: Apache-2.0
#include "delivery/progress.h"

#include <utility>

namespace hoplock::delivery {

Progress::Progress(Common& common_, std::shared_ptr<const store::Job> job_, std::optional<OpenSession>& session_,
                   Access* access_)
    : common(common_),
      job(std::move(job_)),
      session(session_),
      access(access_),
      message_class(message_class_of(job->envelope, common.options.tls_required_no)) {
  attempt.id = job->id;
  attempt.destination = job->destination;
  attempt.sender = job->envelope.sender;
  attempt.envelope = job->envelope;
  attempt.domain = job->recipients.front().domain;
  attempt.size = job->size;
  attempt.received = job->received;
  for (std::size_t i = 0; i < job->recipients.size(); ++i) {
    RecipientStatus status;
    status.due = job->recipients[i];
    attempt.recipients.push_back(std::move(status));
    open.push_back(i);
  }
}

Source Progress::default_source() const {
  const Options& options = common.options;
  return {options.source_ipv4, options.source_ipv6, options.hostname};
}

Source Progress::source_of(const dns::Name& recipient) const {
  return source_for(job->envelope.sender, recipient, common.options.sources, default_source());
}

void Progress::add_hop(Hop hop) {
  if (!attempt.hops.empty()) {
    Hop& last = attempt.hops.back();
    if (last.refusal && last.action == Hop::Action::none) last.action = Hop::Action::next_host;
  }
  attempt.hops.push_back(std::move(hop));
}

boost::asio::awaitable<void> Progress::leave_session() {
  if (!session) co_return;
  OpenSession old = std::move(*session);
  session.reset();
  co_await old.client->quit();
}

std::string host_text(const route::Host& host) {
  return host.origin == route::Host::Origin::literal ? host.literal.literal() : host.name.text();
}

std::string host_key(const route::Host& host) { return host_text(host) + ":" + std::to_string(host.port); }

Hop hop_of(const route::Host& host, hop::Policy policy, dns::Security mx_security) {
  Hop hop;
  hop.mx = host_text(host);
  hop.policy = policy;
  hop.mx_security = mx_security;
  return hop;
}

}  // namespace hoplock::delivery

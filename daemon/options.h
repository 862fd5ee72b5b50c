// SPDX-License-Identifier: Apache-2.0
// The Options of each module as the configuration has them, with what follows from other keys filled in: names, paths, limits. For the daemon
// and the operator's tool alike. Pure but for what the system must be asked (its name, its interfaces).
#pragma once
#include <string>
#include <vector>

#include "config/config.h"
#include "daemon/log_writer.h"
#include "disk/disk.h"
#include "reports/post.h"
#include "store/readers.h"
#include "tlsrpt/report.h"

namespace hoplock::daemon {

// The configured name, or the system's.
dns::Name hostname(const config::Config& config);
// The configured address, or postmaster@HOSTNAME.
smtp::Mailbox postmaster(const config::Config& config);
// Who reports. Errors: `tls_rpt.contact` is no address, or of another domain than `tls_rpt.from` (RPT-33).
Result<tlsrpt::Submitter> submitter(const config::Config& config);

// Files in data_dir.
std::string database_path(const config::Config& config);
// What the tool reads of the store.
store::ReadersPtr readers(const config::Config& config);
std::string control_path(const config::Config& config);
// What a listener presents that names no certificate.
net::CertificateFiles self_signed_files(const config::Config& config);

// The addresses that are our own when we listen on `bound`: a wildcard stands for all `interfaces` of its family except
// loopback.
std::vector<route::OwnAddress> own_addresses(const std::vector<net::Endpoint>& bound,
                                             const std::vector<Ip>& interfaces);
// As configured; what the listeners will be bound to.
std::vector<net::Endpoint> endpoints(const config::Config& config);

LogOptions log_options(const config::Config& config);
route::Options route_options(const config::Config& config, std::vector<route::OwnAddress> own);
route::PolicyOptions policy_options(const config::Config& config);
http::HttpsOptions fetch_options(const config::Config& config);
disk::Options disk_options(const config::Config& config);
queue::Options queue_options(const config::Config& config);
delivery::Options delivery_options(const config::Config& config);
http::HttpsOptions post_options(const config::Config& config);
// Nothing: no reports are sent.
std::optional<reports::SenderOptions> sender_options(const config::Config& config);
// Whether any mail is routed by MX: no route with hosts takes all of it for good.
bool uses_mx(const config::Config& config);
// Whether any next hop of a route is a name.
bool has_named_hosts(const config::Config& config);
// The submitter's domain, where reports are sent.
std::optional<dns::Name> report_domain(const config::Config& config);
listener::Options listener_options(const config::Config& config);
// How many clients' connections fit into so many descriptors (RLIMIT_NOFILE) beside deliveries, look-ups, the store and the status page:
// limits.connections, or fewer. Strangers who took the last descriptor would stop everything else.
std::uint32_t connections_within(const config::Config& config, std::uint64_t descriptors);

}  // namespace hoplock::daemon

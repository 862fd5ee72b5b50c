// SPDX-License-Identifier: Apache-2.0
#include "resolver/setup.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>

#include "base/ascii.h"

namespace hoplock::resolver {

namespace {

struct Setting {
  const char* key;
  const char* value;
};

// What the operator's file may change. Library defaults are for programs that ask one question. Read as a file before his, for
// ub_ctx_set_option takes a local-zone and does nothing with it.
constexpr std::array defaults{
    Setting{"outgoing-range:", "512"},  // look-ups at once, each with a port of its own
    Setting{"num-queries-per-thread:", "2048"},
    Setting{"outgoing-num-tcp:", "32"},
    Setting{"msg-cache-size:", "4m"},
    Setting{"rrset-cache-size:", "8m"},
    Setting{"key-cache-size:", "2m"},
    Setting{"neg-cache-size:", "1m"},
    Setting{"infra-cache-numhosts:", "5000"},
    Setting{"infra-keep-probing:", "yes"},  // or a dead server stays dead for 15 minutes (DNS-14)
    Setting{"infra-host-ttl:", "60"},
    Setting{"infra-cache-max-rtt:", "12000"},
    Setting{"cache-max-negative-ttl:", "300"},  // a record that was missing is found within a few attempts
    Setting{"cache-max-ttl:", "3600"},          // the hourly check of validation asks the network
    Setting{"qname-minimisation:", "yes"},
    Setting{"max-query-restarts:", "12"},           // aliases, as convert.h allows (DNS-13)
    Setting{"local-zone:", "\"test.\" nodefault"},  // a name like any other: labs use it, signed
    Setting{"local-zone:", "\"home.arpa.\" nodefault"},
};

// What it may not: with any of these the other way, data that failed validation or is out of date would pass for good.
constexpr std::array promises{
    Setting{"val-permissive-mode:", "no"},
    Setting{"harden-dnssec-stripped:", "yes"},
    Setting{"harden-glue:", "yes"},
    Setting{"serve-expired:", "no"},
    Setting{"cache-min-ttl:", "0"},
    Setting{"use-syslog:", "no"},
    Setting{"chroot:", ""},
};

// libunbound's own words, caught while a context is made; log_file(NULL) silences it afterwards.
class Complaints {
 public:
  Complaints() : stream_(open_memstream(&text_, &size_)) {}
  ~Complaints() {
    if (stream_ != nullptr) std::fclose(stream_);
    std::free(text_);
  }
  Complaints(const Complaints&) = delete;
  Complaints& operator=(const Complaints&) = delete;
  std::FILE* stream() { return stream_; }
  // The first one, without time stamp and program name.
  std::string first() {
    if (stream_ == nullptr || std::fflush(stream_) != 0 || text_ == nullptr) return {};
    std::string_view line(text_, size_);
    line = line.substr(0, line.find('\n'));
    constexpr std::string_view mark = "error: ";
    const auto at = line.find(mark);
    return std::string(trim(at == std::string_view::npos ? line : line.substr(at + mark.size())));
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* stream_;
};

Result<> set(ub_ctx* context, Setting setting) {
  const int error = ub_ctx_set_option(context, setting.key, setting.value);
  if (error == 0) return {};
  return bad_input(std::string("libunbound refuses ") + setting.key + " " + setting.value + ": " + ub_strerror(error));
}

// Neither here nor by libunbound is anything opened that would wait for its writer, or has no end.
Result<> check_readable(const std::string& what, const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode) && path != "/dev/null")
    return fail(errc::invalid_argument, what + " " + path + ": it is no regular file");
  if (std::ifstream(path)) return {};
  const int error = errno;
  return fail(static_cast<errc::errc_t>(error), what + " " + path + ": " + std::strerror(error));
}

Result<> read_file(ub_ctx* context, const std::string& path) {
  if (path.empty()) return {};
  if (auto readable = check_readable("unbound_conf", path); !readable) return readable;
  if (ub_ctx_config(context, path.c_str()) == 0) return {};
  return bad_input("unbound_conf " + path +
                   ": not a valid unbound.conf; libunbound's own lines on standard error say where");
}

Result<> read_defaults(ub_ctx* context) {
  std::string text = "server:\n";
  for (const Setting& setting : defaults) text += std::string("  ") + setting.key + " " + setting.value + "\n";
  const int file = memfd_create("hoplock-unbound.conf", MFD_CLOEXEC);
  if (file < 0) return fail(error_code(errno, boost::system::system_category()), "no memory for libunbound's defaults");
  const bool written = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  const bool good = written && ub_ctx_config(context, path.c_str()) == 0;
  close(file);
  if (good) return {};
  return bad_input("libunbound refuses our defaults");
}

Result<> apply(ub_ctx* context, const Options& options) {
  if (auto done = read_defaults(context); !done) return done;
  if (auto done = read_file(context, options.unbound_conf); !done) return done;
  for (const Setting& setting : promises) {
    if (auto done = set(context, setting); !done) return done;
  }
  if (!options.root_hints.empty()) {
    if (auto readable = check_readable("root_hints", options.root_hints); !readable) return readable;
    if (auto done = set(context, {"root-hints:", options.root_hints.c_str()}); !done) return done;
  }
  if (!options.trust_anchor.empty()) {
    if (auto readable = check_readable("trust_anchor", options.trust_anchor); !readable) return readable;
    ub_ctx_add_ta_file(context, options.trust_anchor.c_str());
  }
  for (const Forwarder& forwarder : options.forward) {
    const std::string text = forwarder.address.text() + "@" + std::to_string(forwarder.port);
    if (const int error = ub_ctx_set_fwd(context, text.c_str()); error != 0) {
      return bad_input("forward " + text + ": " + ub_strerror(error));
    }
  }
  return {};
}

// The first question makes libunbound read the remaining files; this one is taken back at once.
int finish(ub_ctx* context) {
  int id = 0;
  const int error = ub_resolve_async(
      context, "localhost.", 1, 1, nullptr, [](void*, int, ub_result* result) { ub_resolve_free(result); }, &id);
  if (error == 0) ub_cancel(context, id);
  return error;
}

}  // namespace

Result<ContextPtr> make_context(const Options& options) {
  Complaints complaints;
  ContextPtr context(ub_ctx_create());
  if (!context) return fail(errc::not_enough_memory, "libunbound: no memory");
  ub_ctx_debugout(context.get(), complaints.stream());
  auto applied = apply(context.get(), options);
  int error = 0;
  if (applied) {
    ub_ctx_async(context.get(), 1);
    error = finish(context.get());
  }
  ub_ctx_debugout(context.get(), nullptr);
  if (!applied) return applied.error();
  if (error == 0) return context;
  const std::string first = complaints.first();
  return bad_input("libunbound: " + (first.empty() ? std::string(ub_strerror(error)) : first));
}

Result<dns::Name> anchor_zone(const std::string& trust_anchor) {
  std::ifstream file(trust_anchor);
  std::optional<dns::Name> first;
  for (std::string line; std::getline(file, line);) {
    const std::string_view text = line;
    if (text.empty() || text.front() == ';' || text.front() == '$' || text.front() == ' ' || text.front() == '\t')
      continue;
    auto owner = dns::Name::parse(text.substr(0, text.find_first_of(" \t")));
    if (!owner) return bad_input("trust_anchor " + trust_anchor + ": " + owner.error().detail);
    if (owner->is_root()) return *owner;
    if (!first) first = std::move(*owner);
  }
  return first.value_or(dns::Name{});
}

}  // namespace hoplock::resolver

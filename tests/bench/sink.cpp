// SPDX-License-Identifier: Apache-2.0
// The receiver of the bench: an SMTP server in one thread over epoll that takes everything and keeps nothing. It
// counts, and notes when the first and the last message came.
//
//   sink --listen IP:PORT (0.0.0.0:25 serves every loopback address of a network namespace)  --counters FILE
//        --certificate CHAIN.pem --key KEY.pem   offers STARTTLS
//        --delay MS       takes that long over every command before it answers, one command after the other
//        --no-pipelining  does not offer PIPELINING
//        --record FILE    a line "NUMBER CHECKSUM OCTETS" for every message, the checksum over its body without doubled
//        dots
#include "common.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <functional>
#include <memory>
#include <queue>
#include <vector>

namespace {

struct Options {
  std::uint64_t delay_ns = 0;
  bool pipelining = true;
  SSL_CTX* tls = nullptr;
  int record = -1;
};

struct Connection {
  explicit Connection(int socket) : fd(socket) {}
  ~Connection() {
    SSL_free(ssl);
    close(fd);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const int fd;
  SSL* ssl = nullptr;
  bool handshaking = false, in_data = false, quitting = false, waiting = false;
  std::string in, out, delayed;  // `delayed` is the reply that --delay holds back
  std::size_t scanned = 0;       // of `in`, while looking for the end of a message
};

bool is(std::string_view line, std::string_view verb) {
  return line.size() >= verb.size() && strncasecmp(line.data(), verb.data(), verb.size()) == 0;
}

class Sink {
 public:
  Sink(const Options& options, bench::Counters* counters)
      : o_(options), counters_(counters), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

  void listen_on(const std::string& where) {
    sockaddr_in address{};
    const std::size_t colon = where.rfind(':');
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(where.c_str() + colon + 1)));
    if (inet_pton(AF_INET, where.substr(0, colon).c_str(), &address.sin_addr) != 1) bench::die("--listen " + where);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener_, 4096) != 0)
      bench::die(where);
    watch(listener_, EPOLLIN);
  }

  [[noreturn]] void run() {
    epoll_event events[256];
    for (;;) {
      const int n = epoll_wait(epoll_, events, 256, until_next_reply());
      for (int i = 0; i < n; ++i) {
        if (events[i].data.fd == listener_) {
          accept_all();
        } else {
          pump(events[i].data.fd);
        }
      }
      send_due_replies();
    }
  }

 private:
  void watch(int fd, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) bench::die("epoll_ctl");
  }

  void accept_all() {
    for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const auto at = static_cast<std::size_t>(fd);
      if (connections_.size() <= at) connections_.resize(at + 1);
      connections_[at] = std::make_unique<Connection>(fd);
      ++counters_->connections;
      counters_->most_open = std::max(counters_->most_open, ++counters_->open);
      watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
      answer(*connections_[at], "220 sink.bench ESMTP\r\n");
      pump(fd);
    }
  }

  void drop(int fd) {
    connections_[static_cast<std::size_t>(fd)].reset();
    --counters_->open;
  }

  int until_next_reply() const {
    if (due_.empty()) return -1;
    const std::uint64_t now = bench::now_ns();
    const std::uint64_t then = due_.top().first;
    return then <= now ? 0 : static_cast<int>((then - now + 999'999) / 1'000'000);
  }

  void send_due_replies() {
    const std::uint64_t now = due_.empty() ? 0 : bench::now_ns();
    while (!due_.empty() && due_.top().first <= now) {
      const int fd = due_.top().second;
      due_.pop();
      auto* c = connections_[static_cast<std::size_t>(fd)].get();
      if (c == nullptr || !c->waiting) continue;
      c->waiting = false;
      c->out += c->delayed;
      c->delayed.clear();
      pump(fd);
    }
  }

  void answer(Connection& c, std::string_view text) {
    if (o_.delay_ns == 0) {
      c.out += text;
      return;
    }
    c.delayed = text;
    c.waiting = true;
    due_.emplace(bench::now_ns() + o_.delay_ns, c.fd);
  }

  // Moves a connection on as far as it goes: read, obey, write, until the socket has no more.
  void pump(int fd) {
    auto* c = connections_[static_cast<std::size_t>(fd)].get();
    if (c == nullptr) return;
    for (;;) {
      if (c->handshaking && !handshake(*c)) break;
      obey(*c);
      if (!flush(*c)) return drop(fd);
      if (c->quitting && c->out.empty() && !c->waiting) return drop(fd);
      if (c->handshaking) continue;
      const int got = receive(*c);
      if (got < 0) return drop(fd);
      if (got == 0) return;
    }
    if (!c->handshaking) drop(fd);
  }

  // False: wait for more, or (no longer handshaking) give up.
  bool handshake(Connection& c) {
    const int result = SSL_accept(c.ssl);
    if (result == 1) {
      c.handshaking = false;
      ++counters_->handshakes;
      if (SSL_session_reused(c.ssl) != 0) ++counters_->resumed;
      return true;
    }
    const int why = SSL_get_error(c.ssl, result);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
      c.handshaking = false;
      ++counters_->failed;
    }
    return false;
  }

  // 1: something came, 0: nothing for now, -1: the end.
  int receive(Connection& c) {
    char* const buffer = buffer_.data();
    const auto size = static_cast<int>(buffer_.size());
    int n = 0;
    if (c.ssl != nullptr) {
      n = SSL_read(c.ssl, buffer, size);
      if (n <= 0) {
        const int why = SSL_get_error(c.ssl, n);
        return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
      }
    } else {
      n = static_cast<int>(read(c.fd, buffer, buffer_.size()));
      if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
    }
    c.in.append(buffer, static_cast<std::size_t>(n));
    counters_->bytes += static_cast<std::uint64_t>(n);
    return 1;
  }

  static bool flush(Connection& c) {
    while (!c.out.empty()) {
      const auto size = static_cast<int>(c.out.size());
      const int n = c.ssl != nullptr && !c.handshaking
                        ? SSL_write(c.ssl, c.out.data(), size)
                        : static_cast<int>(send(c.fd, c.out.data(), c.out.size(), MSG_NOSIGNAL));
      if (n <= 0) return c.ssl != nullptr || errno == EAGAIN;
      c.out.erase(0, static_cast<std::size_t>(n));
    }
    return true;
  }

  void obey(Connection& c) {
    std::size_t from = 0;
    while (!c.waiting && !c.quitting && !c.handshaking) {
      if (c.in_data) {
        const std::size_t end = message_end(c, from);
        if (end == std::string::npos) break;
        message(c, std::string_view(c.in).substr(from, end - from));
        from = end + 3;
        c.scanned = 0;
        c.in_data = false;
        answer(c, "250 2.0.0 Ok\r\n");
        continue;
      }
      const std::size_t end = c.in.find("\r\n", from);
      if (end == std::string::npos) break;
      command(c, std::string_view(c.in).substr(from, end - from));
      from = end + 2;
    }
    c.in.erase(0, from);
    if (c.in_data) c.scanned -= std::min(c.scanned, from);
  }

  // Where the line with the single dot begins; remembers how far it has looked.
  static std::size_t message_end(Connection& c, std::size_t from) {
    if (c.in.compare(from, 3, ".\r\n") == 0) return from;
    const std::size_t start = std::max(from, c.scanned);
    const std::size_t at = c.in.find("\r\n.\r\n", start);
    if (at != std::string::npos) return at + 2;
    c.scanned = std::max(start, c.in.size() > 4 ? c.in.size() - 4 : 0);
    return at;
  }

  void command(Connection& c, std::string_view line) {
    if (is(line, "MAIL") || is(line, "RSET") || is(line, "NOOP")) return answer(c, "250 2.0.0 Ok\r\n");
    if (is(line, "RCPT")) {
      ++counters_->recipients;
      return answer(c, "250 2.1.5 Ok\r\n");
    }
    if (is(line, "DATA")) {
      c.in_data = true;
      c.scanned = 0;
      return answer(c, "354 go on\r\n");
    }
    if (is(line, "EHLO")) return answer(c, capabilities(c));
    if (is(line, "HELO")) return answer(c, "250 sink.bench\r\n");
    if (is(line, "STARTTLS") && o_.tls != nullptr && c.ssl == nullptr) return start_tls(c);
    if (is(line, "QUIT")) {
      answer(c, "221 2.0.0 Bye\r\n");
      c.quitting = true;
      return;
    }
    answer(c, "502 5.5.1 not known\r\n");
  }

  std::string capabilities(const Connection& c) const {
    std::string text = "250-sink.bench\r\n";
    if (o_.pipelining) text += "250-PIPELINING\r\n";
    if (o_.tls != nullptr && c.ssl == nullptr) text += "250-STARTTLS\r\n";
    return text + "250-SIZE 104857600\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n";
  }

  void start_tls(Connection& c) const {
    constexpr std::string_view go = "220 2.0.0 go\r\n";
    if (send(c.fd, go.data(), go.size(), MSG_NOSIGNAL) < 0) return;
    c.ssl = SSL_new(o_.tls);
    SSL_set_fd(c.ssl, c.fd);
    c.handshaking = true;
  }

  void message(Connection&, std::string_view content) {
    const std::uint64_t now = bench::now_ns();
    if (counters_->messages == 0) counters_->first_ns = now;
    counters_->last_ns = now;
    ++counters_->messages;
    if (o_.record >= 0) record(content);
  }

  void record(std::string_view content) const {
    const std::size_t head_end = std::min(content.find("\r\n\r\n"), content.size());
    const std::string_view head = content.substr(0, head_end);
    const std::size_t at = head.find(bench::number_field);
    unsigned long long number = 0;
    unsigned long long declared = 0;
    const std::string field(at == std::string_view::npos ? "" : head.substr(at + bench::number_field.size(), 40));
    if (std::sscanf(field.c_str(), "%llu %llx", &number, &declared) != 2) number = ~0ull;
    std::string_view body = content.substr(std::min(head_end + 4, content.size()));
    const std::size_t octets = body.size();
    std::uint64_t sum = bench::fnv_start;
    while (!body.empty()) {
      const std::size_t line = std::min(body.find("\r\n"), body.size() - 2) + 2;
      const std::size_t dot = body[0] == '.' ? 1 : 0;
      sum = bench::fnv(body.substr(dot, line - dot), sum);
      body.remove_prefix(line);
    }
    char text[128];
    const int n = std::snprintf(text, sizeof text, "%llu %016" PRIx64 " %zu %016llx\n", number, sum, octets, declared);
    if (write(o_.record, text, static_cast<std::size_t>(n)) != n) bench::die("--record");
  }

  using Due = std::pair<std::uint64_t, int>;
  const Options o_;
  bench::Counters* counters_;
  const int epoll_;
  int listener_ = -1;
  std::vector<char> buffer_ = std::vector<char>(1 << 17);
  std::vector<std::unique_ptr<Connection>> connections_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
};

SSL_CTX* make_tls(const std::string& certificate, const std::string& key) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    std::fprintf(stderr, "sink: %s or %s cannot be used\n", certificate.c_str(), key.c_str());
    std::exit(2);
  }
  return context;
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  bench::allow_many_files();
  signal(SIGPIPE, SIG_IGN);
  Options options;
  options.delay_ns = arguments.number("--delay", 0) * 1'000'000;
  options.pipelining = !arguments.flag("--no-pipelining");
  const std::string certificate = arguments.text("--certificate", "");
  if (!certificate.empty()) options.tls = make_tls(certificate, arguments.text("--key", ""));
  const std::string record = arguments.text("--record", "");
  if (!record.empty()) options.record = open(record.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (!record.empty() && options.record < 0) bench::die(record);
  Sink sink(options, bench::map_counters(arguments.text("--counters", "")));
  sink.listen_on(arguments.text("--listen", "0.0.0.0:25"));
  sink.run();
}

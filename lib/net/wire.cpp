// SPDX-License-Identifier: Apache-2.0
#include "net/wire.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace hoplock::net {

namespace {
Wire& wire_of(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

// So little at once that what OpenSSL does before it asks again is short, even where each record costs it a new key.
constexpr std::size_t most_at_once = 4096;

int wire_read(BIO* bio, char* into, int size) {
  BIO_clear_retry_flags(bio);
  Wire& wire = wire_of(bio);
  if (wire.silence > Wire::most_silence) wire.refused = "the peer sends TLS records without data and without end";
  if (wire.refused != nullptr) return -1;
  if (wire.allowance == 0) {
    wire.paused = true;
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t most = std::min({static_cast<std::size_t>(size), wire.allowance, most_at_once});
  ssize_t got = -1;
  do {
    got = ::recv(wire.fd, into, most, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    wire.allowance -= static_cast<std::size_t>(got);
    wire.silence += static_cast<std::size_t>(got);
  }
  if (got == 0) wire.ended = true;
  if (got < 0 && would_block(errno)) {
    BIO_set_retry_read(bio);
  } else if (got < 0) {
    wire.error = errno;
  }
  return static_cast<int>(got);
}

int wire_write(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  Wire& wire = wire_of(bio);
  ssize_t sent = -1;
  do {
    sent = ::send(wire.fd, from, static_cast<std::size_t>(size), MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && would_block(errno)) {
    BIO_set_retry_write(bio);
  } else if (sent < 0) {
    wire.error = errno;
  }
  return static_cast<int>(sent);
}

long wire_ctrl(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return wire_of(bio).ended ? 1 : 0;
    default:
      return 0;
  }
}

struct MethodFree {
  void operator()(BIO_METHOD* method) const { BIO_meth_free(method); }
};
using Method = std::unique_ptr<BIO_METHOD, MethodFree>;

Method make_method() {
  Method method(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "hoplock socket"));
  if (!method) return method;
  BIO_meth_set_read(method.get(), wire_read);
  BIO_meth_set_write(method.get(), wire_write);
  BIO_meth_set_ctrl(method.get(), wire_ctrl);
  return method;
}
}  // namespace

BIO* make_wire_bio(Wire* wire) {
  static const Method method = make_method();  // a constant table of functions
  BIO* bio = method ? BIO_new(method.get()) : nullptr;
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, wire);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace hoplock::net

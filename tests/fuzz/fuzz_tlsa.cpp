// SPDX-License-Identifier: Apache-2.0
// TLSA rdata as any name server may send it: several records of one RRset, each behind two octets of length. What counts as usable
// must be exactly what OpenSSL, which does the matching, will take.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstdlib>
#include <string>

#include "dane/usable.h"

using namespace hoplock;

namespace {
std::vector<dns::Tlsa> parse(std::string_view input) {
  std::vector<dns::Tlsa> records;
  while (input.size() >= 2) {
    const auto length =
        static_cast<std::size_t>(static_cast<std::uint8_t>(input[0]) << 8U | static_cast<std::uint8_t>(input[1]));
    input.remove_prefix(2);
    records.push_back(dns::parse_tlsa(input.substr(0, length)));
    input.remove_prefix(std::min(length, input.size()));
  }
  return records;
}

SSL* make_ssl() {
  static SSL_CTX* const ctx = [] {
    SSL_CTX* made = SSL_CTX_new(TLS_client_method());
    SSL_CTX_dane_enable(made);
    return made;
  }();
  SSL* ssl = SSL_new(ctx);
  SSL_dane_enable(ssl, "mx.example.org");
  return ssl;
}

void demand(bool truth) {
  if (!truth) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto records = parse({reinterpret_cast<const char*>(data), size});
  for (const auto& record : records) {
    const bool dane_usage = record.usage == 2 || record.usage == 3;
    const bool usable = dane::is_usable(record);
    SSL* ssl = make_ssl();
    const auto* octets = reinterpret_cast<const unsigned char*>(record.data.data());
    const bool taken =
        SSL_dane_tlsa_add(ssl, record.usage, record.selector, record.matching, octets, record.data.size()) > 0;
    SSL_free(ssl);
    ERR_clear_error();
    demand(dane_usage ? usable == taken : !usable);
    demand(record.text().size() == record.params().size() + 1 + 2 * record.data.size());
  }
  for (const auto& record : dane::usable(records)) demand(dane::is_usable(record));
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Signs the message on standard input with a key file, for the independent verifiers of verify.py: prints the whole message.
// Usage: dkim_sign DOMAIN STEP (SELECTOR KEY.pem)...    STEP: octets fed at a time
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include "dkim/signer.h"

using namespace hoplock;

namespace {
std::string all_of(std::istream& in) { return {std::istreambuf_iterator<char>(in), {}}; }
}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 64;
  const auto domain = dns::Name::parse(argv[1]).value();
  const std::size_t step = std::max(1UL, std::strtoul(argv[2], nullptr, 10));
  std::vector<dkim::Identity> identities;
  for (int i = 3; i + 1 < argc; i += 2) {
    std::ifstream file(argv[i + 1]);
    const auto key = std::make_shared<const dkim::Key>(dkim::Key::parse(all_of(file)).value());
    std::cerr << argv[i] << ' ' << key->record() << '\n';
    identities.push_back({domain, argv[i], key});
  }
  dkim::Signer signer(std::make_shared<const dkim::Keyring>(dkim::Keyring::make(std::move(identities)).value()));
  const std::string message = all_of(std::cin);
  for (std::size_t at = 0; at < message.size(); at += step) signer.feed(std::string_view(message).substr(at, step));
  const auto done = signer.finish(std::chrono::floor<Milliseconds>(std::chrono::system_clock::now())).value();
  std::cout << done.fields << message;
  return done.fields.empty() ? 1 : 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "postgres/libpq.h"

#include <dlfcn.h>

#include <string>

namespace hoplock::postgres {
namespace {

struct Loaded {
  Libpq functions;
  std::string why_not;

  Loaded() {
    void* const library = ::dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) complain();
#define HOPLOCK_LIBPQ_LOAD(name) \
  if (why_not.empty()) functions.name = find<decltype(&::name)>(library, #name);
    HOPLOCK_LIBPQ(HOPLOCK_LIBPQ_LOAD)
#undef HOPLOCK_LIBPQ_LOAD
  }
  template <class Function>
  Function find(void* library, const char* name) {
    const auto found = reinterpret_cast<Function>(::dlsym(library, name));
    if (found == nullptr) complain();
    return found;
  }
  void complain() {
    const char* const said = ::dlerror();
    why_not = said != nullptr ? said : "it cannot be loaded";
  }
};

const Loaded& loaded() {
  static const Loaded once;
  return once;
}

}  // namespace

Result<> load_libpq() {
  if (loaded().why_not.empty()) return {};
  return fail(errc::not_supported,
              "PostgreSQL needs its client library (Debian's package libpq5): " + loaded().why_not);
}

const Libpq& pq() { return loaded().functions; }

}  // namespace hoplock::postgres

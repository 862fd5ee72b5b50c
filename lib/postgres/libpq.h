// SPDX-License-Identifier: Apache-2.0
// For its own sources: libpq, loaded when the first database is spoken to. It brings Kerberos, LDAP and two TLS libraries along, some
// 3 MiB of memory that a relay on SQLite has no use for; and it need not be installed there.
#pragma once
#include <libpq-fe.h>

#include "base/result.h"

#define HOPLOCK_LIBPQ(each)                                                                                        \
  each(PQclear) each(PQcmdStatus) each(PQconnectPoll) each(PQconnectStartParams) each(PQconninfoFree)              \
      each(PQconninfoParse) each(PQconsumeInput) each(PQenterPipelineMode) each(PQerrorMessage) each(PQfinish)     \
          each(PQflush) each(PQfname) each(PQfreemem) each(PQftype) each(PQgetResult) each(PQgetisnull)            \
              each(PQgetlength) each(PQgetvalue) each(PQisBusy) each(PQnfields) each(PQnotifies) each(PQntuples)   \
                  each(PQparameterStatus) each(PQpipelineSync) each(PQresultErrorField) each(PQresultErrorMessage) \
                      each(PQresultStatus) each(PQsendPrepare) each(PQsendQueryParams) each(PQsendQueryPrepared)   \
                          each(PQserverVersion) each(PQsetErrorVerbosity) each(PQsetNoticeReceiver)                \
                              each(PQsetnonblocking) each(PQsocket) each(PQsslStruct) each(PQstatus)

namespace hoplock::postgres {

// Its functions, by their own names.
struct Libpq {
#define HOPLOCK_LIBPQ_MEMBER(name) decltype(&::name) name = nullptr;
  HOPLOCK_LIBPQ(HOPLOCK_LIBPQ_MEMBER)
#undef HOPLOCK_LIBPQ_MEMBER
};

// Once; from any thread. Error not_supported: it is not installed, or too old.
Result<> load_libpq();
// REQUIRES: load_libpq() was good.
const Libpq& pq();

}  // namespace hoplock::postgres

// SPDX-License-Identifier: Apache-2.0
// The commands of the tool: each takes what it was told and returns its exit code.
#pragma once
#include "config/reader.h"
#include "daemon/tool/arguments.h"
#include "daemon/tool/tool.h"

namespace hoplock::daemon::tool {

// Where the configuration is, unless --config names another.
inline constexpr const char* usual_config = "/etc/hoplock/hoplock.yaml";

struct Call {
  Arguments arguments;
  config::Loaded loaded;  // without errors, but for `config check`
  Console console;
};

// "hoplock: " and the text, on standard error.
int complain(const Console& console, int code, std::string_view text);
// The store cannot be read: `what` was asked of it ("the queue", "the history in"); the complaint names its file.
int cannot_read(const Call& call, std::string_view what, const Error& error);

int status(const Call& call);
int reload(const Call& call);
int config_check(const Call& call);
int config_show(const Call& call);
int queue_list(const Call& call);
int queue_show(const Call& call);
int queue_stats(const Call& call);
int queue_act(const Call& call);  // retry, hold, release, remove, bounce
int trace(const Call& call);
int check(const Call& call);
int tlsa(const Call& call);
int sts_list(const Call& call);
int sts_show(const Call& call);
int sts_refresh(const Call& call);
int backup(const Call& call);
int restore(const Call& call);
int compact(const Call& call);
int tlsrpt_send(const Call& call);
int tlsrpt_list(const Call& call);
int tlsrpt_show(const Call& call);
int tlsrpt_read(const Call& call);
int dkim_new(const Call& call);
int dkim_list(const Call& call);
int dkim_record(const Call& call);
int dkim_check(const Call& call);
int doctor(const Call& call);
int partner_list(const Call& call);
int partner_show(const Call& call);
int partner_change(const Call& call);  // require, except, remove
int partner_suggest(const Call& call);
int partner_import(const Call& call);
int partner_export(const Call& call);
int audit(const Call& call);
int nodes(const Call& call);
int store_migrate(const Call& call);
int store_copy(const Call& call);

}  // namespace hoplock::daemon::tool

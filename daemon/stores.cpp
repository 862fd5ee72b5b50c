// SPDX-License-Identifier: Apache-2.0
#include "daemon/stores.h"

#include "daemon/options.h"
#include "store_sqlite/copy.h"
#include "store_sqlite/ledger_store.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/partner_store.h"
#include "store_sqlite/policy_store.h"
#include "store_sqlite/statistics_store.h"

namespace hoplock::daemon {

namespace asio = boost::asio;

ExitCode exit_code(const Error& error) {
  if (error.code == errc::device_or_resource_busy) return unavailable;
  if (error.code == errc::no_such_file_or_directory || error.code == errc::permission_denied ||
      error.code == errc::read_only_file_system) {
    return cannot_create;
  }
  return io_error;
}

namespace {

class SqliteStores final : public Stores {
 public:
  SqliteStores(std::unique_ptr<disk::Disk> disk, store::ReadersPtr readers, std::string where)
      : disk_(std::move(disk)), readers_(std::move(readers)), where_(std::move(where)) {}

  store::MailStore& mail() override { return mail_; }
  store::StatisticsStore& statistics() override { return statistics_; }
  store::LedgerStore& ledger() override { return ledger_; }
  store::PolicyStore& policies() override { return policies_; }
  store::PartnerStore& partners() override { return partners_; }
  store::ReadersPtr readers() const override { return readers_; }

  asio::awaitable<std::optional<StartFailure>> join() override {
    using Texts = std::pair<std::optional<std::string>, std::optional<std::string>>;
    auto look = [](disk::Tx& tx) -> Result<Texts> {
      return Texts(store_sqlite::moved_to(tx), store_sqlite::moving_to(tx));
    };
    const auto found = co_await disk_->run(disk::Durability::read, std::move(look));
    if (!found) co_return std::nullopt;  // who cannot read it hears so from whoever needs it
    const auto& [moved, moving] = *found;
    if (!moved && !moving) co_return std::nullopt;
    StartFailure failure;
    failure.code = config_error;
    failure.text = where_ + ": the mail of " + place();
    if (moved)
      failure.text += " was copied to " + *moved + "; allowed: that URL";
    else
      failure.text += " is being copied to " + *moving +
                      ", and a part of it may be there already; give `hoplock store copy --to " + *moving +
                      "` again, which goes on";
    co_return failure;
  }
  asio::awaitable<void> leave(net::SteadyTime /*deadline*/) override { co_return; }
  std::vector<disk::News> close() override { return disk_->close(); }
  void on_news(std::function<void(const disk::News&)> call) override { disk_->on_news(std::move(call)); }
  void on_work(std::function<void()> /*call*/) override {}
  void lost(const std::vector<store::Lease>& /*leases*/) override {}
  void on_senders(std::function<void(std::size_t)> /*call*/) override {}

  std::string place() const override { return disk_->path().string(); }
  bool shared() const override { return false; }
  bool broken() const override { return disk_->broken(); }
  asio::awaitable<void> answer() override {
    auto nothing = [](disk::Tx&) -> Result<> { return {}; };
    co_await disk_->run(disk::Durability::read, std::move(nothing));  // an error is an answer, too: it does not hang
  }
  asio::awaitable<Result<std::uint64_t>> compact() override { return disk_->compact(); }
  Facts facts() const override { return {disk_->health(), disk_->sizes(), disk_->commits(), std::nullopt}; }

 private:
  std::unique_ptr<disk::Disk> disk_;
  store::ReadersPtr readers_;
  std::string where_;  // `store` stands in the configuration
  store_sqlite::SqliteMailStore mail_{*disk_};
  store_sqlite::SqliteStatisticsStore statistics_{*disk_};
  store_sqlite::SqliteLedgerStore ledger_{*disk_};
  store_sqlite::SqlitePolicyStore policies_{*disk_};
  store_sqlite::SqlitePartnerStore partners_{*disk_};
};

}  // namespace

Stores::Opened open_sqlite(asio::any_io_executor loop, const config::Loaded& loaded) {
  auto disk = disk::Disk::open(std::move(loop), disk_options(loaded.config));
  if (!disk) return StartFailure{exit_code(disk.error()), disk.error().detail};
  return std::make_unique<SqliteStores>(std::move(*disk), readers(loaded.config), loaded.where("store"));
}

Stores::Opened Stores::open(asio::any_io_executor loop, const config::Loaded& loaded, Log& log) {
  if (loaded.config.store.place.is_sqlite()) return open_sqlite(std::move(loop), loaded);
  return open_postgres(std::move(loop), loaded, log);
}

}  // namespace hoplock::daemon

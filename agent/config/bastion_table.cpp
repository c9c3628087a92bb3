#include "config/bastion_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/printable.h"
#include "route/host_name.h"

namespace jump {
namespace {

constexpr std::size_t kShown = 64;  // of a name that could be anything
constexpr const char* kExample = "as in prod = [\"jump1\", \"jump2\"]";

class BastionReader {
 public:
  explicit BastionReader(ConfigErrors& errors) : errors_(errors) {}

  AgentConfig::Bastions read(const TomlValue& table) {
    for (const TomlEntry& entry : table.entries) read_one(entry);
    AgentConfig::Bastions all;
    for (const auto& [name, members] : written_) {
      std::vector<std::string> hosts, path = {name};
      if (resolve(members, path, hosts)) all[name] = std::move(hosts);
    }
    return all;
  }

 private:
  struct Member {
    std::string name;
    ConfigPlace place;
  };

  void fail(const ConfigPlace& place, const std::string& name, const std::string& message, std::string hint) {
    errors_.push_back(
        {place, fmt::format("bastion.{}: {}", printable(name, kShown), message), std::move(hint)});
  }

  void read_one(const TomlEntry& entry) {
    const Result<HostName> name = HostName::parse(entry.key);
    if (!name || !name->user.empty() || name->port) {
      return fail(entry.place, entry.key, "a bastion's name is one word, without user and port",
                  "the user and the port of each member are what ssh_config says for it");
    }
    if (written_.size() >= kMaxBastions)
      return fail(entry.place, entry.key, fmt::format("more than {} bastions", kMaxBastions), {});
    std::vector<Member>& members = written_[entry.key];
    if (entry.value.is(TomlValue::Kind::kString)) return add(entry.key, entry.value, members);
    if (!entry.value.is(TomlValue::Kind::kArray)) {
      return fail(entry.value.place, entry.key,
                  fmt::format("expected an array of hosts, found {}", entry.value.describe()), kExample);
    }
    for (const TomlValue& item : entry.value.items) add(entry.key, item, members);
    if (entry.value.items.empty()) fail(entry.value.place, entry.key, "it has no hosts", kExample);
  }

  void add(const std::string& bastion, const TomlValue& item, std::vector<Member>& members) {
    if (!item.is(TomlValue::Kind::kString))
      return fail(item.place, bastion, fmt::format("expected hosts, found {}", item.describe()), kExample);
    if (const Result<HostName> host = HostName::parse(item.text); !host)
      return fail(item.place, bastion, host.error().message, host.error().hint);
    if (item.text == bastion) {
      return fail(item.place, bastion, "it is a member of itself",
                  "give the bastion a name that is no host's, or leave the host out");
    }
    const bool twice = std::any_of(members.begin(), members.end(),
                                   [&item](const Member& each) { return each.name == item.text; });
    if (twice) return fail(item.place, bastion, fmt::format("'{}' stands in it twice", item.text), {});
    members.push_back({item.text, item.place});
  }

  // False: there is something wrong with it. `path`: the bastions that led here.
  bool resolve(const std::vector<Member>& members, std::vector<std::string>& path,
               std::vector<std::string>& hosts) {
    for (const Member& member : members) {
      const auto nested = written_.find(member.name);
      if (nested == written_.end()) {
        if (std::find(hosts.begin(), hosts.end(), member.name) == hosts.end()) hosts.push_back(member.name);
      } else if (std::find(path.begin(), path.end(), member.name) != path.end()) {
        circle(member, path);
        return false;
      } else {
        path.push_back(member.name);
        if (!resolve(nested->second, path, hosts)) return false;
        path.pop_back();
      }
      if (hosts.size() <= kMaxBastionMembers) continue;
      fail(member.place, path.front(), fmt::format("more than {} hosts", kMaxBastionMembers), {});
      return false;
    }
    return true;
  }

  // Said once: it is found from each of its bastions, and from those that lead into it.
  void circle(const Member& member, const std::vector<std::string>& path) {
    if (member.name != path.front() || *std::min_element(path.begin(), path.end()) != member.name) return;
    std::string way;
    for (const std::string& name : path) way += name + " → ";
    fail(member.place, path.back(), "bastions lead in a circle: " + way + member.name,
         "a bastion's members are hosts, or bastions that do not contain it");
  }

  ConfigErrors& errors_;
  std::map<std::string, std::vector<Member>> written_;
};

}  // namespace

AgentConfig::Bastions read_bastions(const TomlValue& table, ConfigErrors& errors) {
  return BastionReader(errors).read(table);
}

}  // namespace jump

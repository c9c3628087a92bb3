#include "safekeeping.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "handover.h"
#include "proto/codec.h"

namespace jump {
namespace {

// "jumpagent-wishes-0", "-1": the generation's last bit. "jumpagent-at-N-PLACE": the Nth at that place, as a
// config file may ask for several with a port of the system's choice.
constexpr std::string_view kWishes = "jumpagent-wishes-";
constexpr std::string_view kPlace = "jumpagent-at-";
constexpr std::size_t kMostName = 255;   // FDNAME's
constexpr off_t kMostWishes = 16 << 20;  // far beyond limits.forwards; what was stored is ours, but no oracle

// A name has no colon and nothing but printable ASCII.
std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = c > ' ' && c < 0x7f && c != ':' && c != '%';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr == text.data() + i + 3) {
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string name_of(const Endpoint& at, int number) {
  const std::string place = at.is_unix() ? at.path : fmt::format("{}!{}", at.host, at.port);
  return fmt::format("{}{}-{}", kPlace, number, escape(place));
}

std::optional<Endpoint> place_of(std::string_view name) {
  const std::size_t dash = name.find('-', kPlace.size());
  if (!name.starts_with(kPlace) || dash == std::string_view::npos) return std::nullopt;
  const std::string place = unescape(name.substr(dash + 1));
  if (place.starts_with('/')) return Endpoint{{}, 0, place};
  const std::size_t mark = place.rfind('!');
  if (mark == std::string::npos) return std::nullopt;
  std::uint16_t port = 0;
  const char* end = place.data() + place.size();
  if (std::from_chars(place.data() + mark + 1, end, port).ptr != end) return std::nullopt;
  return Endpoint{place.substr(0, mark), port, {}};
}

ino_t inode_of(int fd) {
  struct stat info {};
  return fstat(fd, &info) == 0 ? info.st_ino : 0;
}

// The generation, and the wishes as JSON in a line of their own.
std::string read_wishes(int fd, std::uint64_t* generation) {
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > kMostWishes) return {};
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  if (pread(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) return {};
  const std::size_t line = text.find('\n');
  if (line == std::string::npos ||
      std::from_chars(text.data(), text.data() + line, *generation).ptr != text.data() + line)
    return {};
  return text.substr(line + 1);
}

Fd file_in_memory(const std::string& text) {
  Fd fd(memfd_create("jumpagent-wishes", MFD_CLOEXEC));
  if (!fd || write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return {};
  return fd;
}

}  // namespace

Inheritance Safekeeping::sort(std::vector<ServiceManager::Passed> passed) {
  Inheritance sorted;
  std::string wishes;
  std::uint64_t newest = 0;
  for (ServiceManager::Passed& each : passed) {
    const bool file = each.name.starts_with(kWishes);
    const std::optional<Endpoint> place = place_of(each.name);
    if (!file && !place) {
      sorted.control.push_back(std::move(each.fd));  // a socket unit's, whatever it is called
      continue;
    }
    sorted.kept_names[each.name].push_back(inode_of(each.fd.get()));
    if (place) {
      auto same = std::find_if(sorted.kept.begin(), sorted.kept.end(),
                               [&each](const auto& kept) { return kept.name == each.name; });
      if (same == sorted.kept.end())
        same = sorted.kept.insert(same, Inheritance::Kept{each.name, *place, {}});
      same->sockets.push_back(std::move(each.fd));
      continue;
    }
    std::uint64_t generation = 0;
    std::string text = read_wishes(each.fd.get(), &generation);
    if (generation > newest) {
      newest = generation;
      wishes = std::move(text);
    }
  }
  sorted.wishes = newest;
  if (wishes.empty()) return sorted;
  Result<proto::Json> parsed = proto::Json::parse(wishes);
  Result<proto::AgentHandoverResult> list = parsed ? proto::decode_result<proto::AgentHandoverResult>(*parsed)
                                                   : Result<proto::AgentHandoverResult>(parsed.error());
  if (!list) {
    log::error("what the service manager kept cannot be read: {}", list.error().message);
    return sorted;
  }
  for (proto::HandedForward& each : list->forwards) sorted.forwards.push_back({std::move(each), {}});
  for (proto::HandedMux& each : list->mux) sorted.mux.push_back({each.host, each.path, {}});
  sorted.attended = std::move(list->attended);
  sorted.unattended = std::move(list->unattended);
  return sorted;
}

struct Safekeeping::Wanted {
  std::map<std::string, std::vector<int>> sockets;
  std::string wishes;
};

Safekeeping::Safekeeping(Io& io, const ServiceManager& service, List list, std::string control)
    : io_(io),
      service_(service),
      list_(std::move(list)),
      control_(std::move(control)),
      soon_(io.deferred([this] { sync(); })),
      retry_(io.timer([this] { sync(); })) {}

void Safekeeping::begin(const Inheritance::KeptNames& before, std::uint64_t generation,
                        bool control_elsewhere) {
  if (!service_.present()) return;
  stored_ = before;
  generation_ = generation;
  control_elsewhere_ = control_elsewhere;
  begun_ = true;
  sync();
}

void Safekeeping::control_is_ours() {
  control_elsewhere_ = false;
  on_changed();
}

void Safekeeping::on_changed() {
  if (begun_) soon_->schedule();
}

void Safekeeping::stop() {
  begun_ = false;
  retry_->stop();
}

void Safekeeping::end() {
  if (!begun_) return;
  stop();
  for (const auto& [name, inodes] : stored_) service_.give_up(name);
  stored_.clear();
}

Safekeeping::Wanted Safekeeping::wanted() const {
  Wanted all;
  std::vector<int> sockets;
  proto::AgentHandoverResult list = list_(&sockets);
  std::size_t next = 0;
  const auto take = [&](const Endpoint& at, std::uint64_t count, bool elsewhere) {
    std::vector<int> own(sockets.begin() + static_cast<std::ptrdiff_t>(next),
                         sockets.begin() + static_cast<std::ptrdiff_t>(next + count));
    next += count;
    if (own.empty() || elsewhere) return;
    int number = 0;
    while (all.sockets.contains(name_of(at, number))) ++number;
    std::string name = name_of(at, number);
    if (name.size() <= kMostName) all.sockets.emplace(std::move(name), std::move(own));
  };
  take(Endpoint{{}, 0, control_}, list.control_sockets, control_elsewhere_);
  for (const proto::HandedForward& each : list.forwards) {
    const Result<ForwardRequest> request = request_of(each);
    take(request ? request->listen : Endpoint{}, each.sockets, !request);
  }
  for (const proto::HandedMux& each : list.mux) take(Endpoint{{}, 0, each.path}, each.sockets, false);
  // The config file asks for the others again.
  std::erase_if(list.forwards, [](const proto::HandedForward& each) { return !each.client; });
  if (!list.forwards.empty() || !list.mux.empty() || !list.attended.empty())
    all.wishes = proto::encode(list).dump();
  return all;
}

// What has gone first: the store has its limit.
void Safekeeping::sync() {
  if (!begun_) return;
  const Wanted all = wanted();
  bool again = false;
  std::map<std::string, std::vector<ino_t>> now;
  for (const auto& [name, sockets] : all.sockets) {
    for (const int socket : sockets) now[name].push_back(inode_of(socket));
    std::sort(now[name].begin(), now[name].end());
  }
  for (auto each = stored_.begin(); each != stored_.end();) {
    std::sort(each->second.begin(), each->second.end());
    const auto same = now.find(each->first);
    const bool stays =
        each->first.starts_with(kWishes) || (same != now.end() && same->second == each->second);
    const bool gone = !stays && service_.give_up(each->first);
    again |= !stays && !gone;
    each = gone ? stored_.erase(each) : std::next(each);
  }
  for (const auto& [name, sockets] : all.sockets) {
    if (stored_.contains(name)) continue;
    if (stored_.size() >= kMostNames) {
      if (!std::exchange(said_full_, true))
        log::warn("more than {} places: a restart by the service manager will not keep all", kMostNames);
      break;
    }
    if (service_.keep(name, sockets)) {
      stored_[name] = now[name];
    } else {
      again = true;
    }
  }
  again |= !store_wishes(all.wishes);
  if (again) retry_->start(kRetryGap);
}

bool Safekeeping::store_wishes(const std::string& text) {
  const auto name = [](std::uint64_t generation) { return fmt::format("{}{}", kWishes, generation % 2); };
  if (wishes_ != text) {
    const Fd file = file_in_memory(fmt::format("{}\n{}", generation_ + 1, text));
    if (!file) return true;  // it is out of memory, which the next change may find otherwise
    if (!service_.keep(name(generation_ + 1), {file.get()})) return false;
    ++generation_;
    wishes_ = text;
    stored_[name(generation_)] = {inode_of(file.get())};
  }
  const std::string old = name(generation_ + 1);
  if (!stored_.contains(old)) return true;
  if (!service_.give_up(old)) return false;
  stored_.erase(old);
  return true;
}

}  // namespace jump

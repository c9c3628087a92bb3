#include "ctl/specs_here.h"

#include <unistd.h>

#include <cstdlib>
#include <memory>

namespace jump::ctl {
namespace {

void make_absolute(proto::ForwardEnd& end, const std::string& directory) {
  if (!end.is_unix() || end.path.starts_with('/') || directory.empty()) return;
  std::string_view path = end.path;
  while (path.starts_with("./")) path.remove_prefix(2);
  std::string whole = directory;
  if (!whole.ends_with('/')) whole += '/';
  end.path = whole.append(path);
}

}  // namespace

Result<std::vector<proto::ForwardSpec>> specs_here(proto::ForwardKind kind, std::string_view text,
                                                   const std::string& directory) {
  auto specs = proto::parse_forward_specs(kind, text);
  if (!specs.ok()) return specs;
  for (proto::ForwardSpec& spec : *specs) {
    if (kind != proto::ForwardKind::kRemote) {
      make_absolute(spec.listen, directory);
    } else if (spec.target) {
      make_absolute(*spec.target, directory);
    }
  }
  return specs;
}

std::string working_directory() {
  const std::unique_ptr<char, decltype(&std::free)> directory(::getcwd(nullptr, 0), &std::free);
  return directory == nullptr ? std::string() : directory.get();
}

}  // namespace jump::ctl

#include "support/key_pair.h"

#include <map>
#include <sstream>
#include <vector>

#include "support/process.h"
#include "support/setup_error.h"
#include "support/temp_dir.h"

namespace jump::test {

namespace {

constexpr Duration kKeygenDeadline = seconds(240);

std::vector<std::string> keygen_type(KeyKind kind) {
  switch (kind) {
    case KeyKind::kEd25519:
      return {"-t", "ed25519"};
    case KeyKind::kEcdsa256:
      return {"-t", "ecdsa", "-b", "256"};
    case KeyKind::kRsa3072:
      return {"-t", "rsa", "-b", "3072"};
    case KeyKind::kRsa4096:
      return {"-t", "rsa", "-b", "4096"};
  }
  setup_error("no such kind of key");
}

std::string keygen(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "ssh-keygen");
  const ProcessResult result = run_process(arguments, kKeygenDeadline);
  if (!result.ok()) setup_error("ssh-keygen: " + result.describe());
  return result.out;
}

std::string words(const std::string& text, int first, int count) {
  std::istringstream in(text);
  std::string word, joined;
  for (int i = 0; in >> word && i < first + count; ++i) {
    if (i >= first) joined += (joined.empty() ? "" : " ") + word;
  }
  return joined;
}

}  // namespace

const char* key_kind_name(KeyKind kind) {
  switch (kind) {
    case KeyKind::kEd25519:
      return "ed25519";
    case KeyKind::kEcdsa256:
      return "ecdsa256";
    case KeyKind::kRsa3072:
      return "rsa3072";
    case KeyKind::kRsa4096:
      return "rsa4096";
  }
  return "?";
}

KeyPair generate_key(KeyKind kind, const std::string& private_path) {
  std::vector<std::string> arguments = keygen_type(kind);
  arguments.insert(arguments.end(), {"-q", "-N", "", "-C", "test", "-f", private_path});
  keygen(arguments);
  KeyPair pair{private_path, {}, {}};
  pair.public_line = words(read_file(private_path + ".pub"), 0, 2);
  pair.fingerprint = words(keygen({"-l", "-E", "sha256", "-f", private_path + ".pub"}), 1, 1);
  return pair;
}

const KeyPair& user_key(KeyKind kind) {
  struct Cache {
    TempDir directory;
    std::map<KeyKind, KeyPair> keys;
  };
  static Cache cache;
  auto it = cache.keys.find(kind);
  if (it == cache.keys.end()) {
    const std::string path = cache.directory.file(std::string("id_") + key_kind_name(kind));
    it = cache.keys.emplace(kind, generate_key(kind, path)).first;
  }
  return it->second;
}

}  // namespace jump::test

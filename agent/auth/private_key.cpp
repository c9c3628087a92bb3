#include "auth/private_key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>

#include <array>
#include <deque>

#include "auth/key_decryption.h"
#include "auth/openssl_ptr.h"
#include "base/secret.h"

namespace jump {

struct PrivateKey::Secret {
  EvpKey key;
};

namespace {

constexpr std::size_t kEd25519Bytes = 32;
constexpr std::size_t kMaxBignumBytes = 16384 / 8;  // OpenSSH's SSHBUF_MAX_BIGNUM
constexpr std::size_t kMaxComment = 1024;           // kept; what is longer is cut

struct Curve {
  std::string_view type, name;
  const char* group;  // OpenSSL's name
  const EVP_MD* (*digest)();
};
constexpr Curve kCurves[] = {{"ecdsa-sha2-nistp256", "nistp256", "prime256v1", EVP_sha256},
                             {"ecdsa-sha2-nistp384", "nistp384", "secp384r1", EVP_sha384},
                             {"ecdsa-sha2-nistp521", "nistp521", "secp521r1", EVP_sha512}};

struct RsaAlgorithm {
  std::string_view name;
  const EVP_MD* (*digest)();
};
constexpr RsaAlgorithm kRsaAlgorithms[] = {
    {"rsa-sha2-512", EVP_sha512}, {"rsa-sha2-256", EVP_sha256}, {"ssh-rsa", EVP_sha1}};

Error broken(std::string_view what) {
  return {Errc::kInvalid, "broken private key: " + std::string(what), ""};
}
Error internal(std::string_view what) { return {Errc::kInternal, "OpenSSL: " + std::string(what), ""}; }
Error unsupported(std::string_view type) {
  return {Errc::kUnsupported,
          "private keys of type " + std::string(type.substr(0, 64)) + " are not supported", ""};
}

// Parameters for EVP_PKEY_fromdata(). OSSL_PARAM_BLD would copy secrets into memory that nobody wipes.
class KeyParameters {
 public:
  void add_number(const char* name, const BIGNUM* number) {
    Bytes native(static_cast<std::size_t>(BN_num_bytes(number)) + 1);
    BN_bn2nativepad(number, native.data(), static_cast<int>(native.size()));
    jump::Secret& kept = keep(std::move(native));
    parameters_.push_back(OSSL_PARAM_construct_BN(name, data_of(kept), kept.view().size()));
  }
  void add_bytes(const char* name, ByteView bytes) {
    jump::Secret& kept = keep(to_bytes(bytes));
    parameters_.push_back(OSSL_PARAM_construct_octet_string(name, data_of(kept), kept.view().size()));
  }
  // `text` outlives the parameters.
  void add_text(const char* name, const char* text) {
    parameters_.push_back(OSSL_PARAM_construct_utf8_string(name, const_cast<char*>(text), 0));
  }

  EvpKey make(const char* key_type) {
    parameters_.push_back(OSSL_PARAM_construct_end());
    EvpKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, key_type, nullptr));
    EVP_PKEY* key = nullptr;
    if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, parameters_.data()) != 1) {
      return nullptr;
    }
    return EvpKey(key);
  }

 private:
  jump::Secret& keep(Bytes&& bytes) { return kept_.emplace_back(std::move(bytes)); }
  static std::uint8_t* data_of(jump::Secret& secret) {
    return const_cast<std::uint8_t*>(secret.view().data());
  }

  std::deque<jump::Secret> kept_;
  std::vector<OSSL_PARAM> parameters_;
};

// A positive mpint; null when it is anything else.
BigNum read_number(WireReader& in) {
  ByteView raw = in.string();
  if (!in.ok() || raw.empty() || (raw[0] & 0x80) != 0 || raw.size() > kMaxBignumBytes + 1) return nullptr;
  BigNum number(BN_secure_new());
  if (!number || BN_bin2bn(raw.data(), static_cast<int>(raw.size()), number.get()) == nullptr) return nullptr;
  if (BN_is_zero(number.get())) return nullptr;
  return number;
}

// Does the secret belong to the public half? (Not: are the primes prime; that takes seconds.)
bool is_pair(EVP_PKEY* key) {
  EvpKeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  return context && EVP_PKEY_pairwise_check(context.get()) == 1;
}

Result<EvpKey> read_ed25519(WireReader& in) {
  ByteView public_half = in.string();
  ByteView secret = in.string();  // seed, then the public half again
  if (!in.ok() || public_half.size() != kEd25519Bytes || secret.size() != 2 * kEd25519Bytes) {
    return broken("Ed25519 sizes");
  }
  EvpKey key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, secret.data(), kEd25519Bytes));
  if (!key) return broken("Ed25519 seed");
  std::array<std::uint8_t, kEd25519Bytes> derived{};
  std::size_t size = derived.size();
  if (EVP_PKEY_get_raw_public_key(key.get(), derived.data(), &size) != 1 || size != derived.size() ||
      !std::equal(derived.begin(), derived.end(), public_half.begin())) {
    return broken("its public half is of another key");
  }
  return key;
}

Result<EvpKey> read_ecdsa(const Curve& curve, WireReader& in) {
  std::string_view name = in.text();
  ByteView point = in.string();
  BigNum scalar = read_number(in);
  if (!in.ok() || name != curve.name || !scalar) return broken("ECDSA fields");
  KeyParameters parameters;
  parameters.add_text(OSSL_PKEY_PARAM_GROUP_NAME, curve.group);
  parameters.add_bytes(OSSL_PKEY_PARAM_PUB_KEY, point);
  parameters.add_number(OSSL_PKEY_PARAM_PRIV_KEY, scalar.get());
  EvpKey key = parameters.make("EC");
  if (!key || !is_pair(key.get())) return broken("its public half is of another key");
  return key;
}

// d mod (prime - 1), which the container leaves out.
BigNum crt_exponent(const BIGNUM* d, const BIGNUM* prime, BN_CTX* context) {
  BigNum less(BN_dup(prime)), exponent(BN_secure_new());
  if (!less || !exponent || BN_sub_word(less.get(), 1) != 1 || BN_is_zero(less.get())) return nullptr;
  BN_set_flags(less.get(), BN_FLG_CONSTTIME);
  if (BN_mod(exponent.get(), d, less.get(), context) != 1) return nullptr;
  return exponent;
}

Result<EvpKey> read_rsa(WireReader& in) {
  BigNum n = read_number(in), e = read_number(in), d = read_number(in);
  BigNum iqmp = read_number(in), p = read_number(in), q = read_number(in);
  if (!n || !e || !d || !iqmp || !p || !q) return broken("RSA numbers");
  BigNumContext context(BN_CTX_secure_new());
  BigNum product(BN_secure_new());
  if (!context || !product || BN_mul(product.get(), p.get(), q.get(), context.get()) != 1)
    return internal("BN_mul");
  if (BN_cmp(product.get(), n.get()) != 0) return broken("RSA primes do not make the modulus");
  BN_set_flags(d.get(), BN_FLG_CONSTTIME);
  BigNum dp = crt_exponent(d.get(), p.get(), context.get()),
         dq = crt_exponent(d.get(), q.get(), context.get());
  if (!dp || !dq) return broken("RSA primes");
  KeyParameters parameters;
  parameters.add_number(OSSL_PKEY_PARAM_RSA_N, n.get());
  parameters.add_number(OSSL_PKEY_PARAM_RSA_E, e.get());
  parameters.add_number(OSSL_PKEY_PARAM_RSA_D, d.get());
  parameters.add_number(OSSL_PKEY_PARAM_RSA_FACTOR1, p.get());
  parameters.add_number(OSSL_PKEY_PARAM_RSA_FACTOR2, q.get());
  parameters.add_number(OSSL_PKEY_PARAM_RSA_EXPONENT1, dp.get());
  parameters.add_number(OSSL_PKEY_PARAM_RSA_EXPONENT2, dq.get());
  parameters.add_number(OSSL_PKEY_PARAM_RSA_COEFFICIENT1, iqmp.get());
  EvpKey key = parameters.make("RSA");
  if (!key || !is_pair(key.get())) return broken("its RSA numbers do not fit together");
  return key;
}

BigNum number_of(EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key, name, &number);
  return BigNum(number);
}

Bytes big_endian(const BIGNUM* number) {
  Bytes out(static_cast<std::size_t>(BN_num_bytes(number)));
  BN_bn2bin(number, out.data());
  return out;
}

Bytes mpint_of_number(const BIGNUM* number) { return mpint_of(big_endian(number)); }

Result<Bytes> ecdsa_blob(EVP_PKEY* key) {
  char group[64];
  std::size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &size) != 1) {
    return unsupported("ECDSA with a curve of its own");
  }
  for (const Curve& curve : kCurves) {
    if (std::string_view(group) != curve.group) continue;
    Bytes point(1 + 2 * 66);  // the largest of the curves
    EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed");
    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(), &size) !=
        1) {
      return internal("no public point");
    }
    point.resize(size);
    return WireWriter().string(curve.type).string(curve.name).string(point).take();
  }
  return unsupported("ECDSA on " + std::string(group));
}

Result<Bytes> public_blob(EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_ED25519: {
      Bytes raw(kEd25519Bytes);
      std::size_t size = raw.size();
      if (EVP_PKEY_get_raw_public_key(key, raw.data(), &size) != 1) return internal("no public half");
      return WireWriter().string("ssh-ed25519").string(raw).take();
    }
    case EVP_PKEY_EC:
      return ecdsa_blob(key);
    case EVP_PKEY_RSA: {
      BigNum n = number_of(key, OSSL_PKEY_PARAM_RSA_N), e = number_of(key, OSSL_PKEY_PARAM_RSA_E);
      if (!n || !e) return internal("no public half");
      return WireWriter()
          .string("ssh-rsa")
          .string(mpint_of_number(e.get()))
          .string(mpint_of_number(n.get()))
          .take();
    }
    default: {
      const char* name = EVP_PKEY_get0_type_name(key);
      return unsupported(name != nullptr ? name : "unknown");
    }
  }
}

// OpenSSL's DER signature as SSH has it: mpint r, mpint s.
Result<Bytes> ecdsa_signature(const Bytes& der) {
  const std::uint8_t* at = der.data();
  EcdsaSignature signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (!signature) return internal("unexpected ECDSA signature");
  return WireWriter()
      .string(mpint_of_number(ECDSA_SIG_get0_r(signature.get())))
      .string(mpint_of_number(ECDSA_SIG_get0_s(signature.get())))
      .take();
}

// The digest that an algorithm signs with, *digest being null for Ed25519, which has its own; false: not for
// this key.
bool digest_of(std::string_view key_type, std::string_view algorithm, const EVP_MD** digest) {
  if (key_type_of_algorithm(algorithm) != key_type) return false;
  *digest = nullptr;
  for (const Curve& curve : kCurves) {
    if (curve.type == algorithm) *digest = curve.digest();
  }
  for (const RsaAlgorithm& rsa : kRsaAlgorithms) {
    if (rsa.name == algorithm) *digest = rsa.digest();
  }
  return true;
}

struct Passphrase {
  std::string_view text;
  bool asked = false;
};

// In the place of OpenSSL's own prompt, which would open the terminal.
int give_passphrase(char* buffer, int size, int, void* passphrase) {
  auto* self = static_cast<Passphrase*>(passphrase);
  self->asked = true;
  if (self->text.empty() || self->text.size() > static_cast<std::size_t>(size)) return -1;
  std::copy(self->text.begin(), self->text.end(), buffer);
  return static_cast<int>(self->text.size());
}

// Why an encrypted key could not be read. "Unsupported" is OpenSSL's word for a cipher that it has put away,
// but also for what it cannot decode; that there was something to decode, of which ASN.1 complains, shows
// that the cipher is known. It is the one wrong passphrase in 256 whose padding happens to be right.
Error encrypted_key_error(bool passphrase_given) {
  if (!passphrase_given) return passphrase_needed();
  bool unsupported = false;
  bool decrypted = false;
  for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
    unsupported |= ERR_GET_REASON(code) == ERR_R_UNSUPPORTED;
    decrypted |= ERR_GET_LIB(code) == ERR_LIB_ASN1;
  }
  if (unsupported && !decrypted)
    return {Errc::kUnsupported, "encrypted with a cipher that OpenSSL does not support", ""};
  return wrong_passphrase();
}

}  // namespace

PrivateKey::PrivateKey(std::unique_ptr<Secret> secret, PublicKey key)
    : secret_(std::move(secret)), public_(std::move(key)) {}
PrivateKey::PrivateKey(PrivateKey&&) noexcept = default;
PrivateKey& PrivateKey::operator=(PrivateKey&&) noexcept = default;
PrivateKey::~PrivateKey() = default;

Result<PrivateKey> PrivateKey::from_secret(std::unique_ptr<Secret> secret, std::string comment) {
  Result<Bytes> blob = public_blob(secret->key.get());
  if (!blob) return blob.error();
  Result<PublicKey> key = parse_public_key_blob(*blob);
  if (!key) return key.error();
  key->comment = std::move(comment);
  return PrivateKey(std::move(secret), std::move(key).value());
}

Result<PrivateKey> PrivateKey::from_wire(WireReader& in) {
  std::string type(in.text());
  Result<EvpKey> key = unsupported(type);
  if (type == "ssh-ed25519") key = read_ed25519(in);
  if (type == "ssh-rsa") key = read_rsa(in);
  for (const Curve& curve : kCurves) {
    if (type == curve.type) key = read_ecdsa(curve, in);
  }
  if (!key) return key.error();
  std::string_view comment = in.text();
  if (!in.ok()) return broken("cut short");
  auto secret = std::make_unique<Secret>();
  secret->key = std::move(key).value();
  return from_secret(std::move(secret), std::string(comment.substr(0, kMaxComment)));
}

Result<PrivateKey> PrivateKey::from_pem(ByteView text, const jump::Secret& passphrase) {
  Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!bio) return internal("BIO_new_mem_buf");
  Passphrase given{passphrase.text()};
  auto secret = std::make_unique<Secret>();
  ERR_clear_error();
  secret->key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, give_passphrase, &given));
  if (!secret->key && given.asked) return encrypted_key_error(!passphrase.empty());
  if (!secret->key) return broken("not a PEM private key");
  // RSA's numbers fit by construction or sign badly, which OpenSSL notices; its check of them is the slow
  // one.
  if (EVP_PKEY_get_base_id(secret->key.get()) == EVP_PKEY_EC && !is_pair(secret->key.get())) {
    return broken("its public half is of another key");
  }
  return from_secret(std::move(secret), "");
}

Result<Bytes> PrivateKey::sign(std::string_view algorithm, ByteView data) const {
  const EVP_MD* digest = nullptr;
  if (!digest_of(public_.type, algorithm, &digest)) {
    return Error{Errc::kInvalid, "a " + public_.type + " key cannot sign with " + std::string(algorithm), ""};
  }
  EvpDigestContext context(EVP_MD_CTX_new());
  std::size_t size = 0;
  if (!context || EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, secret_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, data.data(), data.size()) != 1) {
    return internal("cannot sign");
  }
  Bytes signature(size);
  if (EVP_DigestSign(context.get(), signature.data(), &size, data.data(), data.size()) != 1) {
    return internal("cannot sign");
  }
  signature.resize(size);
  if (public_.type.starts_with("ecdsa-")) {
    Result<Bytes> converted = ecdsa_signature(signature);
    if (!converted) return converted;
    signature = std::move(converted).value();
  }
  return WireWriter().string(algorithm).string(signature).take();
}

}  // namespace jump

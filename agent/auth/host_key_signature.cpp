#include "auth/host_key_signature.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/params.h>

#include <algorithm>

#include "auth/openssl_ptr.h"
#include "base/wire.h"

namespace jump {
namespace {

struct Algorithm {
  std::string_view name;      // of the signature
  std::string_view key_type;  // that makes it
  const char* group;          // OpenSSL's name of the curve; null: no curve
  const EVP_MD* (*digest)();  // null: the algorithm has its own
};
constexpr Algorithm kAlgorithms[] = {
    {"ssh-ed25519", "ssh-ed25519", nullptr, nullptr},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "prime256v1", EVP_sha256},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "secp384r1", EVP_sha384},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "secp521r1", EVP_sha512},
    {"rsa-sha2-512", "ssh-rsa", nullptr, EVP_sha512},
    {"rsa-sha2-256", "ssh-rsa", nullptr, EVP_sha256},
};

Error invalid(std::string_view what) { return {Errc::kInvalid, std::string(what), ""}; }

// OpenSSL's numbers are in the machine's order.
Bytes native(ByteView big_endian) {
  BigNum number(BN_bin2bn(big_endian.data(), static_cast<int>(big_endian.size()), nullptr));
  Bytes out(big_endian.size() + 1);
  if (number) BN_bn2nativepad(number.get(), out.data(), static_cast<int>(out.size()));
  return out;
}

EvpKey make_key(const char* kind, OSSL_PARAM* parameters) {
  EvpKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
    return nullptr;
  }
  return EvpKey(key);
}

EvpKey openssl_key(const PublicKey& key, const Algorithm& algorithm) {
  WireReader in(key.blob);
  in.string();  // the type
  if (key.type == "ssh-ed25519") {
    ByteView raw = in.string();
    return EvpKey(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw.data(), raw.size()));
  }
  if (key.type == "ssh-rsa") {
    Bytes exponent = native(in.string());
    Bytes modulus = native(in.string());
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, modulus.data(), modulus.size()),
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, exponent.data(), exponent.size()),
        OSSL_PARAM_construct_end()};
    return make_key("RSA", parameters);
  }
  in.string();  // the curve's name
  Bytes point = to_bytes(in.string());
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, const_cast<char*>(algorithm.group), 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      OSSL_PARAM_construct_end()};
  return make_key("EC", parameters);
}

// RFC 5656 section 3.1.2 (two mpints) to what OpenSSL takes. Empty: malformed.
Bytes der_of(ByteView signature) {
  WireReader in(signature);
  ByteView r = in.string(), s = in.string();
  constexpr std::size_t kMaxNumber = 67;  // P-521's, and a leading zero
  if (!in.at_end() || r.size() > kMaxNumber || s.size() > kMaxNumber) return {};
  EcdsaSignature pair(ECDSA_SIG_new());
  BigNum r_number(BN_bin2bn(r.data(), static_cast<int>(r.size()), nullptr));
  BigNum s_number(BN_bin2bn(s.data(), static_cast<int>(s.size()), nullptr));
  if (!pair || !r_number || !s_number) return {};
  if (ECDSA_SIG_set0(pair.get(), r_number.get(), s_number.get()) != 1) return {};
  (void)r_number.release();  // the pair's now
  (void)s_number.release();
  int size = i2d_ECDSA_SIG(pair.get(), nullptr);
  if (size <= 0) return {};
  Bytes der(static_cast<std::size_t>(size));
  std::uint8_t* out = der.data();
  i2d_ECDSA_SIG(pair.get(), &out);
  return der;
}

// ssh takes RSA signatures that lost their leading zeros.
Bytes padded(ByteView signature, EVP_PKEY* key) {
  Bytes out = to_bytes(signature);
  std::size_t size = static_cast<std::size_t>(EVP_PKEY_get_size(key));
  if (out.size() < size) out.insert(out.begin(), size - out.size(), 0);
  return out;
}

}  // namespace

Status verify_host_key_signature(const PublicKey& key, ByteView signature, ByteView data) {
  WireReader in(signature);
  std::string_view name = in.text();
  ByteView raw = in.string();
  if (!in.at_end()) return invalid("not a signature");
  const Algorithm* algorithm =
      std::find_if(std::begin(kAlgorithms), std::end(kAlgorithms),
                   [&](const Algorithm& each) { return each.name == name && each.key_type == key.type; });
  if (algorithm == std::end(kAlgorithms))
    return Error{Errc::kUnsupported, "no trusted signature algorithm for a key of type " + key.type, ""};
  EvpKey openssl = openssl_key(key, *algorithm);
  if (!openssl) return invalid("not a key");
  Bytes bytes = algorithm->group        ? der_of(raw)
                : key.type == "ssh-rsa" ? padded(raw, openssl.get())
                                        : to_bytes(raw);
  EvpDigestContext context(EVP_MD_CTX_new());
  const EVP_MD* digest = algorithm->digest ? algorithm->digest() : nullptr;
  if (!context || EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, openssl.get()) != 1 ||
      EVP_DigestVerify(context.get(), bytes.data(), bytes.size(), data.data(), data.size()) != 1) {
    return invalid("the signature is wrong");
  }
  return {};
}

}  // namespace jump

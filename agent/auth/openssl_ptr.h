// Owners of OpenSSL's objects: each is freed here and nowhere else, big numbers wiped as they go.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include <memory>

namespace jump {

template <auto kFree>
struct OpensslDeleter {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};

using EvpKey = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using EvpKeyContext = std::unique_ptr<EVP_PKEY_CTX, OpensslDeleter<EVP_PKEY_CTX_free>>;
using EvpDigestContext = std::unique_ptr<EVP_MD_CTX, OpensslDeleter<EVP_MD_CTX_free>>;
using BigNum = std::unique_ptr<BIGNUM, OpensslDeleter<BN_clear_free>>;
using BigNumContext = std::unique_ptr<BN_CTX, OpensslDeleter<BN_CTX_free>>;
using EcGroup = std::unique_ptr<EC_GROUP, OpensslDeleter<EC_GROUP_free>>;
using EcPoint = std::unique_ptr<EC_POINT, OpensslDeleter<EC_POINT_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, OpensslDeleter<ECDSA_SIG_free>>;
using Bio = std::unique_ptr<BIO, OpensslDeleter<BIO_free_all>>;

}  // namespace jump

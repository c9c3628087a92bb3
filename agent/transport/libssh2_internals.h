// The internals of libssh2 that the seam uses, as 1.11.1's src/libssh2_priv.h, transport.h, packet.h and
// openssl.h declare them. For seam.cpp and its tests; nobody else includes this. The linker's --wrap makes
// libssh2's own calls of two functions land in __wrap_…, and __real_… reach the originals.
#pragma once

#include <libssh2.h>
#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

static_assert(
    std::string_view(LIBSSH2_VERSION) == "1.11.1",
    "the seam uses internals of libssh2 1.11.1; for another version, compare its source and run the tests");

extern "C" {

struct LIBSSH2_CRYPT_METHOD {
  const char* name;
  const char* pem_annotation;
  int blocksize;
  int iv_len;
  int secret_len;
  int auth_len;
  long flags;
  int (*init)(LIBSSH2_SESSION* session, const LIBSSH2_CRYPT_METHOD* method, unsigned char* iv, int* free_iv,
              unsigned char* secret, int* free_secret, int encrypt, void** abstract);
  int (*get_len)(LIBSSH2_SESSION* session, unsigned int seqno, unsigned char* data, size_t data_size,
                 unsigned int* len, void** abstract);
  int (*crypt)(LIBSSH2_SESSION* session, unsigned int seqno, unsigned char* block, size_t blocksize,
               void** abstract, int firstlast);
  int (*dtor)(LIBSSH2_SESSION* session, void** abstract);
  const EVP_CIPHER* (*algo)(void);
};

// The beginning of _LIBSSH2_HOSTKEY_METHOD and its destructor.
struct LIBSSH2_HOSTKEY_METHOD {
  const char* name;
  size_t hash_len;
  void (*others[6])(void);  // init, initPEM, initPEMFromMemory, sig_verify, signv, encrypt
  int (*dtor)(LIBSSH2_SESSION* session, void** abstract);
};

// _libssh2_endpoint_data: one direction. `remote` is what the server sends.
struct LIBSSH2_ENDPOINT {
  unsigned char* banner;
  unsigned char* kexinit;
  size_t kexinit_len;
  const LIBSSH2_CRYPT_METHOD* crypt;
  void* crypt_abstract;
  const void* mac;
  uint32_t seqno;
  void* mac_abstract;
  const void* comp;
  void* comp_abstract;
  char* prefs[4];  // cipher, MAC, compression, language
};

// The beginning of _LIBSSH2_SESSION, as far as it is needed here.
struct LIBSSH2_SESSION_HEAD {
  void* abstract;
  void (*memory[3])(void);
  void (*callbacks[10])(void);
  char* kex_prefs;
  char* hostkey_prefs;
  int state;
  int flags[3];
  const void* kex;
  unsigned int burn_optimistic_kexinit;
  unsigned char* session_id;
  uint32_t session_id_len;
  int api_block_mode;
  long api_timeout;
  const LIBSSH2_HOSTKEY_METHOD* hostkey;
  void* server_hostkey_abstract;
  unsigned char* server_hostkey;
  uint32_t server_hostkey_len;
#ifndef OPENSSL_NO_MD5
  unsigned char server_hostkey_md5[16];
  int server_hostkey_md5_valid;
#endif
  unsigned char server_hostkey_sha1[20];
  int server_hostkey_sha1_valid;
  unsigned char server_hostkey_sha256[32];
  int server_hostkey_sha256_valid;
  char* server_sign_algorithms;
  char* sign_algo_prefs;
  int kex_strict;
  LIBSSH2_ENDPOINT remote;
  LIBSSH2_ENDPOINT local;
};

int _libssh2_transport_read(LIBSSH2_SESSION* session);
int _libssh2_transport_send(LIBSSH2_SESSION* session, const unsigned char* data, size_t data_len,
                            const unsigned char* data2, size_t data2_len);
// Owns `data` from then on, unless it returns LIBSSH2_ERROR_EAGAIN half-way through its work: then it is
// called with the same again. (Only for packets that never get that far here: CHANNEL_OPEN and requests.)
int __real__libssh2_packet_add(LIBSSH2_SESSION* session, unsigned char* data, size_t datalen, int macstate,
                               uint32_t seq);
int __wrap__libssh2_packet_add(LIBSSH2_SESSION* session, unsigned char* data, size_t datalen, int macstate,
                               uint32_t seq);
const LIBSSH2_CRYPT_METHOD** __real_libssh2_crypt_methods(void);
const LIBSSH2_CRYPT_METHOD** __wrap_libssh2_crypt_methods(void);

}  // extern "C"

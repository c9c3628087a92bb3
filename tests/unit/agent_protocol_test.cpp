#include "auth/agent_protocol.h"

#include <gtest/gtest.h>

#include "base/wire.h"

namespace jump {
namespace {

const Bytes kBlob = {1, 2, 3};

Bytes signature_blob(std::string_view algorithm) {
  return WireWriter().string(algorithm).string(Bytes{9, 9}).take();
}

Bytes sign_response(std::string_view algorithm) {
  return WireWriter().u8(14).string(signature_blob(algorithm)).take();
}

TEST(AgentProtocol, ListRequestIsOneByteInAFrame) {
  EXPECT_EQ(encode_list_request(), (Bytes{0, 0, 0, 1, 11}));
}

TEST(AgentProtocol, SignRequestCarriesKeyDataAndHashFlags) {
  auto flags_of = [](std::string_view algorithm) {
    Bytes frame = encode_sign_request(kBlob, algorithm, as_bytes("data"));
    WireReader in(frame);
    EXPECT_EQ(in.u32(), frame.size() - 4);
    EXPECT_EQ(in.u8(), 13);
    EXPECT_EQ(to_bytes(in.string()), kBlob);
    EXPECT_EQ(in.text(), "data");
    std::uint32_t flags = in.u32();
    EXPECT_TRUE(in.at_end());
    return flags;
  };
  EXPECT_EQ(flags_of("ssh-ed25519"), 0u);
  EXPECT_EQ(flags_of("ssh-rsa"), 0u);
  EXPECT_EQ(flags_of("rsa-sha2-256"), 2u);
  EXPECT_EQ(flags_of("rsa-sha2-512"), 4u);
  EXPECT_EQ(flags_of("rsa-sha2-512-cert-v01@openssh.com"), 4u);
}

TEST(AgentProtocol, IdentitiesAreReadInOrder) {
  WireWriter message;
  message.u8(12).u32(2).string(kBlob).string("first").string(Bytes{4}).string("");
  auto identities = decode_identities(message.view());
  ASSERT_TRUE(identities.ok());
  ASSERT_EQ(identities->size(), 2u);
  EXPECT_EQ((*identities)[0].blob, kBlob);
  EXPECT_EQ((*identities)[0].comment, "first");
  EXPECT_EQ((*identities)[1].blob, Bytes{4});
}

TEST(AgentProtocol, IdentitiesCutShortAreAProtocolError) {
  Bytes message = WireWriter().u8(12).u32(1).string(kBlob).string("first").take();
  for (std::size_t length = 0; length < message.size(); ++length) {
    auto identities = decode_identities(ByteView(message).first(length));
    ASSERT_FALSE(identities.ok()) << length;
    EXPECT_EQ(identities.error().code, Errc::kProtocol);
  }
}

TEST(AgentProtocol, AbsurdCountIsRefusedBeforeAnythingIsKept) {
  EXPECT_FALSE(decode_identities(WireWriter().u8(12).u32(0xffffffff).take()).ok());
}

TEST(AgentProtocol, RefusalsOfAllKindsOfAgentsAreRefusals) {
  for (std::uint8_t type : Bytes{5, 28, 30, 102}) {
    Bytes message = {type};
    EXPECT_EQ(decode_identities(message).error().code, Errc::kRefused);
    EXPECT_EQ(decode_signature(message, "ssh-ed25519").error().code, Errc::kRefused);
  }
  EXPECT_EQ(decode_identities(Bytes{99}).error().code, Errc::kProtocol);
}

TEST(AgentProtocol, SignatureBlobComesOutAsItIs) {
  auto signature = decode_signature(sign_response("rsa-sha2-512"), "rsa-sha2-512");
  ASSERT_TRUE(signature.ok());
  EXPECT_EQ(*signature, signature_blob("rsa-sha2-512"));
  EXPECT_TRUE(decode_signature(sign_response("ssh-ed25519"), "ssh-ed25519-cert-v01@openssh.com").ok());
}

TEST(AgentProtocol, SignatureOfAnotherAlgorithmIsNotPassedOn) {
  auto signature = decode_signature(sign_response("ssh-rsa"), "rsa-sha2-512");
  ASSERT_FALSE(signature.ok());
  EXPECT_EQ(signature.error().code, Errc::kUnsupported);
  EXPECT_NE(signature.error().message.find("ssh-rsa"), std::string::npos);
}

TEST(AgentProtocol, SignatureCutShortIsAProtocolError) {
  Bytes message = sign_response("ssh-ed25519");
  for (std::size_t length = 0; length < message.size(); ++length) {
    EXPECT_FALSE(decode_signature(ByteView(message).first(length), "ssh-ed25519").ok()) << length;
  }
  message.push_back(0);
  EXPECT_FALSE(decode_signature(message, "ssh-ed25519").ok());
}

TEST(AgentFramer, CutsMessagesHoweverTheBytesArrive) {
  Bytes stream = WireWriter().string("one").string("three").string("x").take();
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    AgentFramer framer;
    std::vector<std::string> messages;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      ASSERT_TRUE(framer.feed(ByteView(stream).subspan(at, std::min(piece, stream.size() - at))).ok());
      while (auto message = framer.next()) messages.emplace_back(as_text(*message));
    }
    EXPECT_EQ(messages, (std::vector<std::string>{"one", "three", "x"})) << piece;
  }
}

TEST(AgentFramer, RefusesEmptyAndOversizedMessages) {
  EXPECT_FALSE(AgentFramer().feed(WireWriter().u32(0).take()).ok());
  EXPECT_TRUE(AgentFramer().feed(WireWriter().u32(AgentFramer::kMaxMessage).take()).ok());
  AgentFramer framer;
  EXPECT_FALSE(framer.feed(WireWriter().u32(AgentFramer::kMaxMessage + 1).take()).ok());
  EXPECT_FALSE(framer.feed(Bytes{1}).ok());
  EXPECT_FALSE(framer.next().has_value());
}

}  // namespace
}  // namespace jump

// JoinedStream: two streams of one direction each as one of both, as a program's stdin and stdout are.
//
//   on_data, on_eof ◄─ the reading one          write(), shutdown_write() ─► the writing one
//
// Invariant: it has ended when both have; a break of one ends the other.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "stream/byte_stream.h"

namespace jump {

class JoinedStream final : public ByteStream {
 public:
  JoinedStream(std::unique_ptr<ByteStream> reading, std::unique_ptr<ByteStream> writing);

  void set_handler(StreamHandler* handler) override;
  std::size_t write(ByteView data) override { return writing_.stream->write(data); }
  void resume_reading() override { reading_.stream->resume_reading(); }
  void shutdown_write() override { writing_.stream->shutdown_write(); }
  void close() override;
  void abort() override;
  std::string describe() const override { return reading_.stream->describe(); }

 private:
  struct Half final : StreamHandler {
    JoinedStream* joined = nullptr;
    Half* other = nullptr;
    std::unique_ptr<ByteStream> stream;
    bool ended = false;

    std::size_t on_data(ByteView data) override;
    void on_eof() override;
    void on_writable() override;
    void on_closed(const Error* error) override;
  };

  Half reading_, writing_;
  StreamHandler* handler_ = nullptr;
  std::optional<Error> error_;
};

}  // namespace jump

#include "forward/forward.h"

#include <utility>

#include "base/log.h"

namespace jump {

Forward::Forward(Io& io, Host& host, std::string id, ForwardRequest request, const ForwardLimits& limits)
    : io_(io),
      host_(host),
      id_(std::move(id)),
      request_(std::move(request)),
      limits_(limits),
      since_(io.now()) {}

Forward::~Forward() = default;

std::string Forward::describe() const {
  std::string target = request_.target ? " -> " + request_.target->to_string() : " (dynamic)";
  return listening().to_string() + target + " via " + host_.name();
}

void Forward::Connection::carry(Io& io, std::unique_ptr<ByteStream> local,
                                std::unique_ptr<ByteStream> channel, Splice::Done done) {
  splice_ = std::make_unique<Splice>(io, std::move(local), std::move(channel), std::move(done));
  splice_->start();
}

bool Forward::admit() {
  past_.connections_total++;
  if (arrived_) arrived_();
  if (connections_.size() < limits_.max_connections) return true;
  past_.refused++;
  note_error(
      {Errc::kLimit, "more than " + std::to_string(limits_.max_connections) + " connections at once", {}});
  return false;
}

void Forward::add(std::shared_ptr<Connection> connection) {
  Connection& added = *connection;
  added.number_ = ++last_number_;
  added.place_ = connections_.insert(connections_.end(), std::move(connection));
  log::debug("{}.{}: a connection has come", id_, added.number_);
}

std::string Forward::name_of(const Connection& connection) const {
  return id_ + "." + std::to_string(connection.number_);
}

void Forward::remove(Connection& connection) {
  if (const Splice* splice = connection.splice()) {
    past_.bytes_out += splice->bytes_left_to_right();
    past_.bytes_in += splice->bytes_right_to_left();
    log::debug("{}.{}: over: {} bytes out, {} in", id_, connection.number_, splice->bytes_left_to_right(),
               splice->bytes_right_to_left());
  }
  std::shared_ptr<Connection> last = std::move(*connection.place_);
  connections_.erase(connection.place_);
  io_.dispose(std::move(last));
}

void Forward::end_connections() { connections_.clear(); }

void Forward::note_refused(const Connection& connection, const Error& error) {
  past_.refused++;
  // One line a second at the most: whoever can connect can make it be refused.
  if (!last_error_ || io_.now() - error_time_ >= seconds(1)) {
    log::info("{}: a connection was refused ({} so far): {}", name_of(connection), past_.refused,
              error.message);
  }
  note_error(error);
}

void Forward::note_broken(const Connection& connection, const Error* error) const {
  if (error) log::debug("{}.{}: a connection broke: {}", id_, connection.number_, error->message);
}

void Forward::note_error(const Error& error) {
  last_error_ = error;
  error_time_ = io_.now();
}

ForwardCounters Forward::counters() const {
  ForwardCounters sum = past_;
  sum.connections = connections_.size();
  for (const auto& connection : connections_) {
    if (const Splice* splice = connection->splice()) {
      sum.bytes_out += splice->bytes_left_to_right();
      sum.bytes_in += splice->bytes_right_to_left();
    }
  }
  return sum;
}

}  // namespace jump

// The measuring equipment itself, with nothing to measure in it: what the clients, the far end and the delay
// proxy carry without SSH. A figure of another scenario that comes near one of these says more about them.
#include <thread>

#include "bench/far_end.h"
#include "bench/scenario.h"
#include "bench/transfer.h"
#include "support/delay_proxy.h"

namespace jump::bench {

void equipment(const std::string& name, const Settings& settings, Report& report) {
  const StreamPattern pattern;
  const FarEnd far_end;
  const Duration how_long = settings.quick ? milliseconds(500) : seconds(2);
  constexpr std::uint64_t kRate = 12'500'000;

  struct Way {
    const char* name;
    test::DelayProxyOptions options;
  };
  const Way ways[] = {{"proxy, no delay", {}},
                      {"proxy, 200 ms", {.round_trip = milliseconds(200)}},
                      {"proxy, 12.5 MB/s and 40 ms", {.round_trip = milliseconds(40), .rate = kRate}}};
  auto measure = [&](const std::string& figure, std::uint16_t source, std::uint16_t sink) {
    std::vector<double> down, up;
    for (int round = 0; round < settings.rounds; ++round) {
      down.push_back(download(pattern, source, how_long).megabytes_per_second());
      up.push_back(upload(pattern, sink, how_long).megabytes_per_second());
    }
    report.add({name, figure + ", down", "MB/s", {}, {}, {}, down});
    report.add({name, figure + ", up", "MB/s", {}, {}, {}, up});
  };
  measure("direct", far_end.source(), far_end.sink());
  for (const Way& way : ways) {
    const test::DelayProxy to_source(far_end.source(), way.options), to_sink(far_end.sink(), way.options);
    measure(way.name, to_source.port(), to_sink.port());
  }
}

}  // namespace jump::bench

#include "cinch/train/distribution.hpp"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

namespace cinch {

namespace {

class OneProcess : public Distribution {
 public:
  int rank() const override { return 0; }
  int ranks() const override { return 1; }
  void exchange(std::span<const Outgoing>, std::span<const Incoming>) override {}
  void fail(const std::string&) noexcept override {}
};

/// Calls f(rank) for all others, the next one first, so that not all begin with the same.
template <class F>
void for_others(const Distribution& d, F f) {
  for (int k = 1; k < d.ranks(); ++k) f((d.rank() + k) % d.ranks());
}

}  // namespace

void Distribution::begin(std::span<const Outgoing> out, std::span<const Incoming> in) {
  begun_out_.insert(begun_out_.end(), out.begin(), out.end());
  begun_in_.insert(begun_in_.end(), in.begin(), in.end());
}

void Distribution::finish() {
  const std::vector<Outgoing> out = std::exchange(begun_out_, {});
  const std::vector<Incoming> in = std::exchange(begun_in_, {});
  exchange(out, in);
}

std::shared_ptr<Distribution> one_process() { return std::make_shared<OneProcess>(); }

Launch launch() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const char* value = std::getenv(name);
    const long count = value ? std::strtol(value, nullptr, 10) : 0;
    if (count > 1 && count <= std::numeric_limits<int>::max())
      return {static_cast<int>(count), std::string(name) + "=" + value};
  }
  return {};
}

std::vector<std::string> all_gathered(Distribution& ranks, const std::string& mine) {
  std::vector<std::uint64_t> sizes(static_cast<std::size_t>(ranks.ranks()), mine.size());
  std::vector<std::string> result(sizes.size());
  std::vector<Distribution::Outgoing> out;
  std::vector<Distribution::Incoming> in;
  const auto own = static_cast<std::size_t>(ranks.rank());
  for_others(ranks, [&](int r) {
    out.push_back({r, std::as_bytes(std::span(&sizes[own], 1))});
    in.push_back({r, std::as_writable_bytes(std::span(&sizes[static_cast<std::size_t>(r)], 1))});
  });
  ranks.exchange(out, in);
  out.clear(), in.clear();
  result[own] = mine;
  for_others(ranks, [&](int r) {
    std::string& theirs = result[static_cast<std::size_t>(r)];
    theirs.resize(sizes[static_cast<std::size_t>(r)]);
    out.push_back({r, std::as_bytes(std::span(mine))});
    in.push_back({r, std::as_writable_bytes(std::span(theirs))});
  });
  ranks.exchange(out, in);
  return result;
}

}  // namespace cinch

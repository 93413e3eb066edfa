#include "cinch/train/parallel/agreement.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <sstream>
#include <string_view>

#include "cinch/core/compile/inspect.hpp"
#include "cinch/core/error.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/version.hpp"
#include "cinch/io/file.hpp"
#include "cinch/ops/kernels/kernels.hpp"
#include "cinch/ops/linalg.hpp"

namespace cinch::parallel {

namespace {

/// FNV-1a, eight bytes at a time.
class Hash {
 public:
  void add(std::span<const std::byte> bytes) {
    std::size_t at = 0;
    for (; at + sizeof(std::uint64_t) <= bytes.size(); at += sizeof(std::uint64_t)) {
      std::uint64_t word;
      std::memcpy(&word, bytes.data() + at, sizeof word);
      mix(word);
    }
    for (; at < bytes.size(); ++at) mix(std::to_integer<std::uint64_t>(bytes[at]));
    mix(bytes.size());
  }
  std::string text() const {
    std::ostringstream out;
    out << std::hex << sum_;
    return out.str();
  }

 private:
  void mix(std::uint64_t word) {
    sum_ = (sum_ ^ word) * 0x100000001B3u;
    sum_ ^= sum_ >> 32;
  }
  std::uint64_t sum_ = 0xCBF29CE484222325u;
};

std::string hash_of_program() {
  constexpr const char* self = "/proc/self/exe";
  std::error_code failed;
  if (!std::filesystem::exists(self, failed)) return "unknown";
  const FileHandle file = open_file(self, "rb");
  std::vector<std::uint8_t> block(std::size_t{1} << 20);
  Hash hash;
  while (const std::size_t n = read_some(file.get(), self, block))
    hash.add(std::as_bytes(std::span(block).first(n)));
  return hash.text();
}

std::string hash_of_values(const std::vector<Shared>& variables) {
  Hash hash;
  for (const Shared& variable : variables) {
    const Tensor value = variable.get();
    const std::string what = variable.label() + text(type_of(value));
    hash.add(std::as_bytes(std::span(what)));
    hash.add({static_cast<const std::byte*>(value.raw()), value.bytes()});
  }
  return hash.text();
}

constexpr char between = '\x1f', after = '\x1e';  // ASCII's separators of units and of records.

std::string packed(const Description& description) {
  std::string result;
  for (const auto& [name, value] : description) result += name + between + value + after;
  return result;
}

Description unpacked(const std::string& text) {
  Description result;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t middle = text.find(between, at), end = text.find(after, at);
    if (middle == std::string::npos || end == std::string::npos || middle > end) break;
    result.emplace_back(text.substr(at, middle - at), text.substr(middle + 1, end - middle - 1));
    at = end + 1;
  }
  return result;
}

const std::string* value_of(const Description& description, const std::string& name) {
  const auto found = std::ranges::find(description, name, &Description::value_type::first);
  return found == description.end() ? nullptr : &found->second;
}

}  // namespace

Description description_of(const Function& step, const std::vector<Shared>& variables) {
  const std::string formula = graph_text(Inspect::program(step).written);
  Hash hash;
  hash.add(std::as_bytes(std::span(formula)));
  return {{"version", std::string(version())},
          {"hash of the program", hash_of_program()},
          {"instruction set", std::string(simd::kernels().name)},
          {"OpenBLAS kernels", blas_core()},
          {"hash of the step", hash.text()},
          {"hash of the variables", hash_of_values(variables)}};
}

void require_agreement(Distribution& ranks, const Description& mine) {
  const std::vector<std::string> all = all_gathered(ranks, packed(mine));
  const Description first = unpacked(all[0]);
  std::string what;
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    what += text("\n  rank ", r, ":");
    const Description theirs = unpacked(all[r]);
    for (const auto& [name, value] : theirs) {
      const std::string* of_first = value_of(first, name);
      if (!of_first) {
        what += text(" ", name, " is ", value, ", on rank 0 nothing is said of it;");
      } else if (*of_first != value) {
        what += text(" ", name, " is ", value, ", on rank 0 ", *of_first, ";");
      }
    }
    for (const auto& [name, value] : first) {
      if (!value_of(theirs, name)) what += text(" nothing is said of ", name, ";");
    }
    what.back() = ' ';
    what.pop_back();
  }
  if (!what.empty())
    throw Error("train: the processes started together do not train the same:" + what);
}

void require_alone() {
  const Launch together = launch();
  if (together.processes == 1) return;
  throw ValueError(
      text("train: this is one of ", together.processes, " processes that were started together (",
           together.said,
           "), and each would train alone\n  Set .distribute = mpi(), of the component "
           "cinch::mpi, so that they train together, or .distribute = one_process() where each is "
           "meant to train by itself."));
}

}  // namespace cinch::parallel

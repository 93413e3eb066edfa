#include "cinch/core/type.hpp"

#include <algorithm>
#include <atomic>
#include <ostream>

namespace cinch {

Dim Dim::unknown() {
  // Only makes symbols distinct; no result depends on the numbers.
  static std::atomic<std::int64_t> next{-1};
  return Dim(next.fetch_sub(1, std::memory_order_relaxed));
}

bool Type::is_static() const {
  return std::ranges::all_of(dims, [](Dim dim) { return dim.known(); });
}

Shape Type::shape() const {
  Shape result;
  for (const Dim dim : dims) result.push_back(dim.size());
  return result;
}

Dims to_dims(const Shape& shape) { return {shape.begin(), shape.end()}; }

Type type_of(const Tensor& tensor) { return {tensor.dtype(), to_dims(tensor.shape())}; }

std::string text(const Dims& dims) {
  std::string result = "(";
  for (std::size_t i = 0; i < dims.size(); ++i) {
    result += (i ? ", " : "") + (dims[i].known() ? std::to_string(dims[i].size()) : "?");
  }
  return result + (dims.size() == 1 ? ",)" : ")");
}

std::string text(const Type& type) { return std::string(name(type.dtype)) + " " + text(type.dims); }

std::ostream& operator<<(std::ostream& out, const Type& type) { return out << text(type); }
std::ostream& operator<<(std::ostream& out, const Dims& dims) { return out << text(dims); }

Dims broadcast(const Dims& a, const Dims& b) {
  const Dims& longer = a.size() < b.size() ? b : a;
  const Dims& shorter = a.size() < b.size() ? a : b;
  const std::size_t lead = longer.size() - shorter.size();
  Dims result = longer;
  for (std::size_t i = 0; i < shorter.size(); ++i) {
    Dim& out = result[lead + i];
    const Dim other = shorter[i];
    if (out == other || other == Dim(1)) continue;
    if (out == Dim(1) || (!out.known() && other.known())) {
      out = other;  // A symbol against a known size other than 1 can only be that size or 1.
    } else if (!out.known() && !other.known()) {
      out = Dim::unknown();
    } else if (other.known()) {
      throw TypeError("shapes " + text(a) + " and " + text(b) +
                      " do not broadcast: sizes, aligned at the right, must be equal or 1");
    }
  }
  return result;
}

std::int64_t normalize_axis(std::int64_t axis, std::int64_t rank) {
  if (axis < -rank || axis >= rank) {
    throw TypeError(text("axis ", axis, " does not exist in a tensor of rank ", rank));
  }
  return axis < 0 ? axis + rank : axis;
}

}  // namespace cinch

// Single kernels and small networks, with sizes, that bench_kernels times and peers/torch_kernels
// times as well. Plain C++17, as libtorch's headers want it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kernel_cases {

/// What is computed in one call.
enum class Pass {
  value,      ///< op(operands)
  gradients,  ///< that, and its derivatives by all operands in a direction that is given
  input,      ///< the derivative by the first operand alone, of an op that is linear in each
  weights,    ///< that by the second
  training,   ///< a scalar and its derivatives by all operands but the first
};

inline const char* name_of(Pass pass) {
  switch (pass) {
    case Pass::value:
      return "value";
    case Pass::gradients:
      return "with gradients";
    case Pass::input:
      return "by the input";
    case Pass::weights:
      return "by the weights";
    case Pass::training:
      return "step";
  }
  return "";
}

using Sizes = std::vector<std::int64_t>;

struct Case {
  std::string family, op;
  std::vector<Sizes> operands;  ///< Uniform in [-1, 1).
  Sizes numbers;                ///< What the op takes besides: an axis, a stride.
  Pass pass = Pass::value;
  bool wide = false;  ///< float64

  std::string name() const {
    std::string result = op;
    for (const Sizes& sizes : operands) {
      result += " ";
      for (std::size_t k = 0; k < sizes.size(); ++k)
        result += (k ? "x" : "") + std::to_string(sizes[k]);
      if (operands.size() > 4 && &sizes == &operands[1]) break;
    }
    if (!numbers.empty()) {
      result += " [";
      for (std::size_t k = 0; k < numbers.size(); ++k)
        result += (k ? "," : "") + std::to_string(numbers[k]);
      result += "]";
    }
    return result + (wide ? " float64, " : ", ") + name_of(pass);
  }
};

/// The numbers of convolutions: stride, padding, dilation, groups; of transposed ones: stride,
/// padding, output padding, groups.
inline void add_convolutions(std::vector<Case>& cases) {
  const auto conv = [&](const char* op, const Sizes& x, const Sizes& w, const Sizes& numbers,
                        bool whole = false, bool wide = false) {
    const char* const family = "convolutions";
    cases.push_back({family, op, {x, w}, numbers, Pass::value, wide});
    if (whole) {
      cases.push_back({family, op, {x, w}, numbers, Pass::input, wide});
      cases.push_back({family, op, {x, w}, numbers, Pass::weights, wide});
    } else {
      cases.push_back({family, op, {x, w}, numbers, Pass::gradients, wide});
    }
  };
  for (const std::int64_t batch : {1, 8, 64, 256})
    conv("conv2d", {batch, 3, 32, 32}, {32, 3, 3, 3}, {1, 1, 1, 1}, batch == 64);
  for (const std::int64_t batch : {1, 8, 64})
    conv("conv2d", {batch, 32, 16, 16}, {64, 32, 3, 3}, {1, 1, 1, 1}, batch == 64);
  conv("conv2d", {64, 64, 8, 8}, {128, 64, 3, 3}, {1, 1, 1, 1}, true);
  conv("conv2d", {64, 32, 16, 16}, {64, 32, 3, 3}, {1, 1, 1, 1}, true, /*wide=*/true);
  conv("conv2d", {64, 1, 28, 28}, {16, 1, 5, 5}, {1, 0, 1, 1}, true);
  conv("conv2d", {64, 16, 12, 12}, {32, 16, 5, 5}, {1, 0, 1, 1}, true);
  conv("conv2d", {64, 16, 16, 16}, {32, 16, 4, 4}, {2, 1, 1, 1}, true);
  conv("conv2d", {64, 64, 16, 16}, {64, 64, 1, 1}, {1, 0, 1, 1}, true);
  conv("conv2d", {32, 32, 16, 16}, {32, 1, 3, 3}, {1, 1, 1, 32}, true);
  conv("conv2d", {32, 32, 16, 16}, {32, 8, 3, 3}, {1, 1, 1, 4}, true);
  conv("conv2d", {32, 32, 16, 16}, {32, 32, 3, 3}, {1, 2, 2, 1}, true);
  conv("conv1d", {32, 32, 256}, {64, 32, 5}, {1, 2, 1, 1}, true);
  conv("conv1d", {8, 1, 4096}, {16, 1, 9}, {2, 4, 1, 1}, true);
  conv("conv3d", {8, 8, 12, 12, 12}, {16, 8, 3, 3, 3}, {1, 1, 1, 1});
  conv("conv_transpose2d", {64, 64, 7, 7}, {64, 32, 4, 4}, {2, 1, 0, 1}, true);
  conv("conv_transpose2d", {64, 16, 14, 14}, {16, 1, 4, 4}, {2, 1, 0, 1}, true);
  conv("conv_transpose1d", {32, 32, 128}, {32, 16, 4}, {2, 1, 0, 1}, true);
  for (const std::int64_t batch : {8, 64})
    cases.push_back(
        {"networks",
         "convolutional_classifier",
         {{batch, 3, 32, 32}, {32, 3, 3, 3}, {64, 32, 3, 3}, {128, 64, 3, 3}, {2048, 10}},
         {1},
         Pass::training});
  cases.push_back({"networks",
                   "convolutional_classifier",
                   {{64, 1, 28, 28}, {8, 1, 5, 5}, {16, 8, 5, 5}, {784, 10}},
                   {2},
                   Pass::training});
  for (const std::int64_t batch : {64, 256})
    cases.push_back({"networks",
                     "convolutional_autoencoder",
                     {{batch, 1, 32, 32},
                      {16, 1, 4, 4},
                      {32, 16, 4, 4},
                      {64, 32, 4, 4},
                      {64, 32, 4, 4},
                      {32, 16, 4, 4},
                      {16, 1, 4, 4}},
                     {},
                     Pass::training});
  cases.push_back({"networks",
                   "convolutional_autoencoder",
                   {{64, 3, 32, 32},
                    {32, 3, 4, 4},
                    {64, 32, 4, 4},
                    {128, 64, 4, 4},
                    {128, 64, 4, 4},
                    {64, 32, 4, 4},
                    {32, 3, 4, 4}},
                   {},
                   Pass::training});
}

inline void add_pooling(std::vector<Case>& cases) {
  for (const Pass pass : {Pass::value, Pass::gradients}) {
    // Width, stride, padding.
    for (const char* const op : {"max_pool2d", "average_pool2d"}) {
      cases.push_back({"pooling", op, {{64, 32, 32, 32}}, {2, 2, 0}, pass});
      cases.push_back({"pooling", op, {{64, 16, 27, 27}}, {3, 2, 1}, pass});
    }
  }
}

inline void add_rows(std::vector<Case>& cases) {
  for (const Pass pass : {Pass::value, Pass::gradients}) {
    for (const Sizes& x : {Sizes{256, 64},
                           {256, 1000},
                           {256, 1023},
                           {256, 1024},
                           {256, 4096},
                           {4096, 10},
                           {1, 4096}}) {
      const Sizes row{x[1]};
      for (const char* const op : {"softmax", "log_softmax", "logsumexp"})
        cases.push_back({"rows", op, {x}, {}, pass});
      cases.push_back({"rows", "layer_norm", {x, row, row}, {}, pass});
      cases.push_back({"rows", "rms_norm", {x, row}, {}, pass});
    }
    cases.push_back({"rows", "softmax", {{64, 100, 64}}, {1}, pass});
    cases.push_back({"rows", "softmax", {{8, 8, 128, 128}}, {}, pass});
    cases.push_back({"rows", "gelu", {{256, 1024}}, {}, pass});
    cases.push_back({"rows", "softmax", {{256, 1000}}, {}, pass, true});
    cases.push_back({"rows", "layer_norm", {{256, 1000}, {1000}, {1000}}, {}, pass, true});
    cases.push_back({"rows", "batch_norm", {{256, 512}, {512}, {512}}, {}, pass});
    cases.push_back({"rows", "batch_norm", {{64, 32, 16, 16}, {32}, {32}}, {}, pass});
    cases.push_back({"rows", "group_norm", {{32, 32, 16, 16}, {32}, {32}}, {8}, pass});
  }
}

inline void add_reductions(std::vector<Case>& cases) {
  for (const char* const op : {"sum", "mean", "max", "argmax", "var", "cumsum"}) {
    for (const Sizes& x : {Sizes{1000, 1000}, {333, 777}, {64, 100, 200}, {100000, 8}}) {
      for (std::int64_t axis = 0; axis < static_cast<std::int64_t>(x.size()); ++axis)
        cases.push_back({"reductions", op, {x}, {axis}, Pass::value});
    }
  }
  cases.push_back({"reductions", "sum_all", {{1000, 1000}}, {}, Pass::value});
  cases.push_back({"reductions", "sum_all", {{10000000}}, {}, Pass::value});
  cases.push_back({"reductions", "var", {{333, 777}}, {1}, Pass::gradients});
  cases.push_back({"reductions", "max", {{333, 777}}, {1}, Pass::gradients});
  cases.push_back({"reductions", "max", {{333, 777}}, {0}, Pass::gradients});
  cases.push_back({"reductions", "cumsum", {{333, 777}}, {1}, Pass::gradients});
}

inline void add_movements(std::vector<Case>& cases) {
  const char* const family = "movements";
  for (const Sizes& x : {Sizes{256, 1000}, {1000, 64}, {8, 100000}}) {
    cases.push_back({family, "sort", {x}, {1}, Pass::value});
    cases.push_back({family, "topk", {x}, {10}, Pass::value});
  }
  cases.push_back({family, "sort", {{1000, 64}}, {0}, Pass::value});
  cases.push_back({family, "sort", {{256, 1000}}, {1}, Pass::gradients});
  cases.push_back({family, "topk", {{256, 1000}}, {10}, Pass::gradients});
  cases.push_back({family, "embedding", {{10000, 128}}, {4096}, Pass::value});
  cases.push_back({family, "embedding", {{10000, 128}}, {4096}, Pass::gradients});
  cases.push_back({family, "gather_along", {{256, 1000}}, {100}, Pass::value});
  cases.push_back({family, "gather_along", {{256, 1000}}, {100}, Pass::gradients});
  cases.push_back({family, "transpose", {{1000, 1000}}, {}, Pass::value});
  cases.push_back({family, "transpose", {{333, 777}}, {}, Pass::value});
  cases.push_back({family, "to_last", {{32, 64, 14, 14}}, {}, Pass::value});
  cases.push_back({family, "concatenate", {{256, 300}, {256, 77}}, {1}, Pass::value});
  cases.push_back({family, "concatenate", {{256, 300}, {100, 300}}, {0}, Pass::value});
  cases.push_back({family, "add", {{1000, 1000}, {1000}}, {}, Pass::gradients});
  cases.push_back({family, "add", {{1000, 1000}, {1000, 1}}, {}, Pass::gradients});
  cases.push_back({family, "mul", {{64, 1, 200}, {100, 1}}, {}, Pass::value});
  cases.push_back({family, "mul", {{64, 1, 200}, {100, 1}}, {}, Pass::gradients});
  cases.push_back({family, "mul", {{64, 100, 3}, {64, 1, 3}}, {}, Pass::gradients});
  cases.push_back({family, "mul", {{32, 16, 20, 20}, {16, 1, 1}}, {}, Pass::gradients});
  cases.push_back({family, "sigmoid", {{1000, 1000}}, {}, Pass::gradients});
  cases.push_back({family, "exp", {{1000000}}, {}, Pass::value});
}

inline void add_products(std::vector<Case>& cases) {
  // dot(a, b), dot(a, b') and dot(a', b).
  for (const std::int64_t rows : {1, 4, 10, 32, 64, 100, 128, 200, 256, 512, 1000}) {
    for (const Sizes& b : {Sizes{100, 100}, {784, 500}, {1024, 1024}, {4096, 512}}) {
      cases.push_back({"products", "dot", {{rows, b[0]}, b}, {}, Pass::value});
      cases.push_back({"products", "dot_nt", {{rows, b[0]}, {b[1], b[0]}}, {}, Pass::value});
      cases.push_back({"products", "dot_tn", {{rows, b[0]}, {rows, b[1]}}, {}, Pass::value});
    }
  }
  cases.push_back({"products", "dot", {{100, 784}, {784, 500}}, {}, Pass::value, true});
  cases.push_back({"products", "dot", {{1000, 784}, {784, 500}}, {}, Pass::value, true});
  for (const Sizes& a :
       {Sizes{64, 16, 16}, {64, 8, 8}, {1000, 3, 3}, {32, 64, 64}, {64, 128, 32}}) {
    cases.push_back({"products", "batched_dot", {a, {a[0], a[2], a[1]}}, {}, Pass::value});
    cases.push_back({"products", "batched_dot_nt", {a, a}, {}, Pass::value});
  }
  for (const Sizes& a : {Sizes{1000, 1000}, {100, 4096}, {4096, 100}}) {
    cases.push_back({"products", "dot", {a, {a[1]}}, {}, Pass::value});
    cases.push_back({"products", "vector_dot", {{a[0]}, a}, {}, Pass::value});
  }
}

inline std::vector<Case> all() {
  std::vector<Case> cases;
  add_convolutions(cases);
  add_pooling(cases);
  add_rows(cases);
  add_reductions(cases);
  add_movements(cases);
  add_products(cases);
  return cases;
}

/// Least and middle of so many seconds, in ms.
struct Times {
  double least, middle;
};

}  // namespace kernel_cases

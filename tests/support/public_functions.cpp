#include "support/public_functions.hpp"

#include <string_view>

#include "cinch/cinch.hpp"
#include "cinch/core/op.hpp"

namespace cinch::testing {

namespace {

using List = std::vector<Expr>;

List values(const Updates& updates) {
  List result;
  for (const Update& update : updates) result.push_back(update.value);
  return result;
}

std::vector<PublicFunction> make() {
  const Type s{DType::float64, {}}, v{DType::float64, {3}}, m{DType::float64, {3, 3}},
      cube{DType::float64, {2, 3, 3}}, four{DType::float64, {2, 2, 6, 6}}, flag{DType::bool_, {3}},
      n{DType::int64, {}}, i{DType::int64, {3}};
  using F1 = Expr (*)(const Arg&);
  using F2 = Expr (*)(const Arg&, const Arg&);
  std::vector<PublicFunction> all;
  const auto add = [&](const char* name, std::vector<Type> inputs, auto call) {
    all.push_back({name, std::move(inputs), [call](Args x) -> List {
                     if constexpr (std::is_convertible_v<decltype(call(x)), Expr>) {
                       return {call(x)};
                     } else {
                       return call(x);
                     }
                   }});
  };

  // Elementwise: each is written where it is called, so that the line is this file's.
  for (const auto& [name, f] :
       std::vector<std::pair<const char*, F1>>{{"exp", exp},
                                               {"expm1", expm1},
                                               {"log", log},
                                               {"log1p", log1p},
                                               {"sin", sin},
                                               {"cos", cos},
                                               {"tan", tan},
                                               {"arcsin", arcsin},
                                               {"arccos", arccos},
                                               {"arctan", arctan},
                                               {"sinh", sinh},
                                               {"cosh", cosh},
                                               {"arcsinh", arcsinh},
                                               {"arccosh", arccosh},
                                               {"arctanh", arctanh},
                                               {"sigmoid", sigmoid},
                                               {"tanh", tanh},
                                               {"softplus", softplus},
                                               {"relu", relu},
                                               {"softmax", softmax},
                                               {"log_softmax", log_softmax},
                                               {"abs", abs},
                                               {"sign", sign},
                                               {"square", square},
                                               {"sqrt", sqrt},
                                               {"reciprocal", reciprocal},
                                               {"rsqrt", rsqrt},
                                               {"floor", floor},
                                               {"ceil", ceil},
                                               {"trunc", trunc},
                                               {"round", round},
                                               {"is_nan", is_nan},
                                               {"gelu", gelu},
                                               {"gelu_tanh", gelu_tanh},
                                               {"elu", elu},
                                               {"selu", selu},
                                               {"leaky_relu", leaky_relu},
                                               {"relu6", relu6},
                                               {"silu", silu},
                                               {"swish", swish},
                                               {"mish", mish},
                                               {"softsign", softsign},
                                               {"hard_sigmoid", hard_sigmoid},
                                               {"exp2", exp2},
                                               {"log2", log2},
                                               {"log10", log10},
                                               {"log1mexp", log1mexp},
                                               {"log_cosh", log_cosh},
                                               {"erf", erf},
                                               {"erfc", erfc},
                                               {"stop_gradient", stop_gradient},
                                               {"zeros_like", zeros_like},
                                               {"ones_like", ones_like},
                                               {"transpose", transpose},
                                               {"neg", [](const Arg& x) { return -x; }}})
    add(name, {m}, [f = f](Args x) { return f(x[0]); });
  add("not", {flag}, [](Args x) { return !x[0]; });
  for (const auto& [name, f] : std::vector<std::pair<const char*, F2>>{
           {"add", operator+}, {"sub", operator-}, {"mul", operator*}, {"div", operator/},
           {"floor_div", floor_div}, {"mod", mod}, {"pow", pow}, {"maximum", maximum},
           {"minimum", minimum}, {"equal", equal}, {"not_equal", not_equal}, {"less", operator<},
           {"less_equal", operator<=}, {"less", operator>}, {"less_equal", operator>=},
           {"logaddexp", logaddexp}, {"xlogy", xlogy}, {"xlog1py", xlog1py},
           {"times_log", times_log}, {"arctan2", arctan2}, {"hypot", hypot}, {"huber", huber},
           {"hinge", hinge}, {"binary_cross_entropy", binary_cross_entropy},
           {"binary_cross_entropy_from_logits", binary_cross_entropy_from_logits},
           {"bernoulli_kl", bernoulli_kl}, {"gaussian_kl", gaussian_kl}, {"dot", dot},
           {"cross_entropy", cross_entropy}, {"squared_error", squared_error},
           {"absolute_error", absolute_error}, {"broadcast_like", broadcast_like},
           {"sum_like", sum_like}, {"solve", solve}, {"lstsq", lstsq}, {"elu", elu},
           {"leaky_relu", leaky_relu}, {"swish", swish},
           {"triangular_solve", [](const Arg& A, const Arg& b) {
    return triangular_solve(A, b); }}})
    add(name, {m, m}, [f = f](Args x) { return f(x[0], x[1]); });
  add("and", {flag, flag}, [](Args x) { return x[0] && x[1]; });
  add("or", {flag, flag}, [](Args x) { return x[0] || x[1]; });
  add("switch", {flag, v, v}, [](Args x) { return where(x[0], x[1], x[2]); });
  add("clip", {v, s, s}, [](Args x) { return clip(x[0], x[1], x[2]); });
  add("cast", {v}, [](Args x) { return cast(x[0], DType::float32); });
  add("widened", {Type{DType::uint8, {3}}}, [](Args x) { return widened(x[0], 255); });

  // Reductions.
  add("sum", {m}, [](Args x) { return sum(x[0]); });
  add("sum", {m}, [](Args x) { return sum(x[0], 1, true); });
  add("mean", {m}, [](Args x) { return mean(x[0], 0); });
  add("max", {m}, [](Args x) { return max(x[0], 0); });
  add("min", {m}, [](Args x) { return min(x[0]); });
  add("argmax", {m}, [](Args x) { return argmax(x[0], 0); });
  add("argmin", {m}, [](Args x) { return argmin(x[0], 0); });
  add("all", {m}, [](Args x) { return cinch::all(x[0]); });
  add("any", {m}, [](Args x) { return any(x[0], 1); });
  add("var", {m}, [](Args x) { return var(x[0], 1); });
  add("std_", {m}, [](Args x) { return std_(x[0], 1); });
  add("norm", {m}, [](Args x) { return norm(x[0]); });
  add("norm", {m}, [](Args x) { return norm(x[0], 3, 1); });
  add("norm", {m}, [](Args x) { return norm(x[0], {.p = 1, .axes = 1}); });
  add("prod", {m}, [](Args x) { return prod(x[0], 1); });
  add("logsumexp", {m}, [](Args x) { return logsumexp(x[0]); });
  add("cumsum", {m}, [](Args x) { return cumsum(x[0], 1); });
  add("cumprod", {m}, [](Args x) { return cumprod(x[0], 1); });
  add("diff", {m}, [](Args x) { return diff(x[0]); });
  add("sort", {m}, [](Args x) { return sort(x[0]); });
  add("argsort", {m}, [](Args x) { return argsort(x[0]); });
  add("topk", {m}, [](Args x) {
    const auto best = topk(x[0], 2);
    return List{best.values, best.indices};
  });

  // Shapes and parts.
  add("size", {m}, [](Args x) { return size(x[0], 0); });
  add("sizes", {m}, [](Args x) { return sizes(x[0]); });
  add("transpose", {cube}, [](Args x) { return transpose(x[0], {2, 0, 1}); });
  add("dimshuffle", {m}, [](Args x) { return dimshuffle(x[0], {1, -1, 0}); });
  add("expand_dims", {m}, [](Args x) { return expand_dims(x[0], 0); });
  add("squeeze", {Type{DType::float64, {1, 3}}}, [](Args x) { return squeeze(x[0], 0); });
  add("reshape", {m}, [](Args x) { return reshape(x[0], {9}); });
  add("reshape", {m}, [](Args x) { return reshape(x[0], Shape{-1, 3}); });
  add("reshape", {m}, [](Args x) { return reshape(x[0], sizes(x[0])); });
  add("reshape", {m, n}, [](Args x) { return reshape(x[0], {x[1], -1}); });
  add("flatten", {cube}, [](Args x) { return flatten(x[0], 1); });
  add("broadcast_to", {v}, [](Args x) { return broadcast_to(x[0], {4, 3}); });
  add("broadcast_to", {v, n}, [](Args x) { return broadcast_to(x[0], {x[1], 3}); });
  add("concatenate", {m, m}, [](Args x) { return concatenate({x[0], x[1]}, 0); });
  add("stack", {m, m}, [](Args x) { return stack({x[0], x[1]}, 1); });
  add("swapaxes", {m}, [](Args x) { return swapaxes(x[0], 0, 1); });
  add("moveaxis", {cube}, [](Args x) { return moveaxis(x[0], 0, 2); });
  add("flip", {m}, [](Args x) { return flip(x[0]); });
  add("roll", {m, n}, [](Args x) { return roll(x[0], x[1], 0); });
  add("tile", {m, n}, [](Args x) { return tile(x[0], {x[1], 2}); });
  add("repeat", {m, n}, [](Args x) { return repeat(x[0], x[1], 0); });
  add("split", {m}, [](Args x) { return split(x[0], 3, 1); });
  add("split_sizes", {m}, [](Args x) { return split_sizes(x[0], {1, 2}); });
  add("unstack", {m}, [](Args x) { return unstack(x[0]); });
  for (const PadMode mode : {PadMode::constant, PadMode::edge, PadMode::reflect})
    add("pad", {m}, [mode](Args x) { return pad(x[0], {{1, 1}, {0, 2}}, mode); });
  add("slice", {m, n}, [](Args x) { return slice(x[0], x[1], 3); });
  add("slice", {m}, [](Args x) { return slice(x[0], 0, -1, 1, 2); });
  add("slice_from", {m, n}, [](Args x) { return slice_from(x[0], x[1]); });
  add("reverse", {m}, [](Args x) { return reverse(x[0]); });
  add("rows", {m, n, n}, [](Args x) { return rows(x[0], x[1], x[2]); });
  add("at", {m, n}, [](Args x) { return at(x[0], x[1]); });
  add("at", {m}, [](Args x) { return at(x[0], -1, 1); });
  add("narrow", {m, n, n}, [](Args x) { return narrow(x[0], 0, x[1], x[2]); });
  add("embed", {v, m, n}, [](Args x) { return embed(expand_dims(x[0], 0), x[1], 0, x[2]); });
  add("take", {m, i}, [](Args x) { return take(x[0], x[1], 1); });
  add("scatter_add", {m, i, m}, [](Args x) { return scatter_add(x[0], x[1], x[2]); });
  add("arange", {n}, [](Args x) { return arange(x[0]); });
  add("eye", {n}, [](Args x) { return eye(x[0]); });
  add("one_hot", {i, n}, [](Args x) { return one_hot(x[0], x[1]); });
  add("gather", {m, i, i}, [](Args x) { return gather(x[0], {x[1], x[2]}); });
  add("set_subtensor", {m, s}, [](Args x) { return set_subtensor(x[0], at(x[0], 1), x[1]); });
  add("inc_subtensor", {m, s}, [](Args x) { return inc_subtensor(x[0], at(x[0], 1), x[1]); });
  add("put", {m, i, v}, [](Args x) { return put(x[0], x[1], x[2]); });
  add("take_along_axis", {m, Type{DType::int64, {3, 1}}},
      [](Args x) { return take_along_axis(x[0], x[1], 1); });
  add("put_along_axis", {m, Type{DType::int64, {3, 1}}, s},
      [](Args x) { return put_along_axis(x[0], x[1], x[2], 1); });
  add("add_along_axis", {Type{DType::float64, {3, 1}}, Type{DType::int64, {3, 1}}, m},
      [](Args x) { return add_along_axis(x[0], x[1], x[2], 1); });
  add("bincount", {i, n}, [](Args x) { return bincount(x[0], x[1]); });
  add("bincount", {i, n, v}, [](Args x) { return bincount(x[0], x[1], x[2]); });
  add("subscript", {cube, n, i}, [](Args x) {
    return List{subscript(x[0], {x[1], ellipsis, Slice{0, 2}}), subscript(x[0], {x[2], new_axis}),
                subscript(x[0], {Slice{{}, {}, -1}})};
  });
  add("at", {m, n}, [](Args x) { return Expr(x[0])[x[1]]; });
  add("diagonal", {m}, [](Args x) { return diagonal(x[0]); });
  add("embed_diagonal", {v, m}, [](Args x) { return embed_diagonal(x[0], x[1]); });
  add("diag", {v}, [](Args x) { return diag(x[0]); });
  add("diag", {m}, [](Args x) { return diag(x[0], 1); });
  add("trace", {m}, [](Args x) { return trace(x[0]); });
  add("tril", {m}, [](Args x) { return tril(x[0]); });
  add("triu", {m}, [](Args x) { return triu(x[0]); });
  add("fill_diagonal", {m, s}, [](Args x) { return fill_diagonal(x[0], x[1]); });

  // Matrices.
  add("batched_dot", {cube, cube}, [](Args x) { return batched_dot(x[0], x[1]); });
  add("outer", {v, v}, [](Args x) { return outer(x[0], x[1]); });
  for (const auto& [name, f] :
       std::vector<std::pair<const char*, F1>>{{"det", det},
                                               {"logdet", logdet},
                                               {"inverse", inverse},
                                               {"expm", expm},
                                               {"cholesky", cholesky},
                                               {"eigvalsh", eigvalsh},
                                               {"singular_values", singular_values},
                                               {"nuclear_norm", nuclear_norm},
                                               {"spectral_norm", spectral_norm},
                                               {"frobenius_norm", frobenius_norm}})
    add(name, {m}, [f = f](Args x) { return f(x[0]); });
  add("pinv", {m}, [](Args x) { return pinv(x[0]); });
  add("slogdet", {m}, [](Args x) {
    const auto r = slogdet(x[0]);
    return List{r.sign, r.log_abs};
  });
  add("eigh", {m}, [](Args x) {
    const auto r = eigh(x[0]);
    return List{r.values, r.vectors};
  });
  add("qr", {m}, [](Args x) {
    const auto r = qr(x[0]);
    return List{r.Q, r.R};
  });
  add("svd", {m}, [](Args x) {
    const auto r = svd(x[0]);
    return List{r.U, r.s, r.V};
  });

  // Images.
  const Type line{DType::float64, {2, 2, 6}};
  add("conv1d", {line, Type{DType::float64, {3, 2, 3}}},
      [](Args x) { return conv1d(x[0], x[1], {.padding = Pad::same}); });
  add("conv2d", {four, Type{DType::float64, {4, 1, 3, 3}}},
      [](Args x) { return conv2d(x[0], x[1], {.groups = 2}); });
  add("conv_transpose1d", {line, Type{DType::float64, {2, 3, 3}}},
      [](Args x) { return conv_transpose1d(x[0], x[1]); });
  add("conv_transpose2d", {four, Type{DType::float64, {2, 3, 3, 3}}},
      [](Args x) { return conv_transpose2d(x[0], x[1], {.stride = 2, .flip = true}); });
  add("max_pool1d", {line}, [](Args x) { return max_pool1d(x[0], 2); });
  add("max_pool2d", {four}, [](Args x) { return max_pool2d(x[0], 2); });
  add("max_pool2d_positions", {four}, [](Args x) { return max_pool2d_positions(x[0], 2); });
  add("max_unpool2d", {four, four}, [](Args x) {
    return max_unpool2d(max_pool2d(x[0], 2), max_pool2d_positions(x[1], 2), x[1]);
  });
  add("average_pool1d", {line}, [](Args x) { return average_pool1d(x[0], 2); });
  add("average_pool2d", {four}, [](Args x) {
    return average_pool2d(x[0], 3, {.padding = Pad::same, .count_include_pad = false});
  });
  add("upsample1d", {line}, [](Args x) { return upsample1d(x[0], 2); });
  add("upsample2d", {four}, [](Args x) { return upsample2d(x[0], 2); });

  // Losses.
  add("categorical_cross_entropy", {i, m},
      [](Args x) { return categorical_cross_entropy(x[0], x[1]); });
  add("categorical_cross_entropy_from_logits", {m, m},
      [](Args x) { return categorical_cross_entropy_from_logits(x[0], x[1]); });
  add("negative_log_likelihood", {i, m},
      [](Args x) { return negative_log_likelihood(x[0], x[1]); });
  add("categorical_kl", {m, m}, [](Args x) { return categorical_kl(x[0], x[1]); });
  add("cosine_similarity", {m, m}, [](Args x) { return cosine_similarity(x[0], x[1]); });
  add("example_sum", {m}, [](Args x) { return example_sum(x[0]); });
  add("classification_cost", {i, m}, [](Args x) { return classification_cost(x[0], x[1]); });
  add("predict", {m}, [](Args x) { return predict(x[0]); });
  add("error_rate", {i, m}, [](Args x) { return error_rate(x[0], x[1]); });

  // Derivatives. A cost is made of what it is differentiated by.
  add("grad", {m}, [](Args x) { return grad(sum(tanh(x[0])), x[0]); });
  add("grad", {m, m}, [](Args x) { return grad(sum(square(x[0])) * mean(x[1]), {x[0], x[1]}); });
  add("grad", {s}, [](Args x) { return grad(x[0] * x[0], x[0]); });
  add("Lop", {m, m}, [](Args x) { return Lop(square(x[0]), x[0], x[1]); });
  add("Rop", {m, m}, [](Args x) { return Rop(square(x[0]), x[0], x[1]); });
  add("jvp", {m, m}, [](Args x) { return jvp({square(x[0])}, {x[0]}, {x[1]}); });
  add("vjp", {m, m}, [](Args x) { return vjp({square(x[0])}, {x[0]}, {x[1]}); });
  add("jacobian", {m}, [](Args x) { return jacobian(tanh(x[0]), x[0]); });
  add("jacobian_full", {m}, [](Args x) { return jacobian_full(tanh(x[0]), x[0]); });
  add("hessian", {v}, [](Args x) { return hessian(sum(tanh(x[0])), x[0]); });
  add("hessian_vector", {v, v}, [](Args x) { return hessian_vector(sum(tanh(x[0])), x[0], x[1]); });
  add("jacobian_diagonal", {m}, [](Args x) { return jacobian_diagonal(tanh(x[0]), x[0]); });
  add("divergence", {m}, [](Args x) { return divergence(tanh(x[0]), x[0]); });
  add("hessian_diagonal", {m}, [](Args x) { return hessian_diagonal(sum(tanh(x[0])), x[0]); });
  add("per_example_grad", {m, m},
      [](Args x) { return per_example_grad(sum(tanh(dot(x[0], x[1])), 1), x[1]); });
  add("per_example_grad_norms", {m, m},
      [](Args x) { return per_example_grad_norms(sum(tanh(dot(x[0], x[1])), 1), x[1]); });
  add("vectorize", {v, m}, [](Args x) { return vectorize(tanh(x[0]), x[0], x[1]); });
  add("divergence_estimate", {m}, [](Args x) {
    RandomStreams random(1);
    return divergence_estimate(tanh(x[0]), x[0], random).mean;
  });
  add("jacobian_norm2_estimate", {m}, [](Args x) {
    RandomStreams random(1);
    return jacobian_norm2_estimate(tanh(x[0]), x[0], random).mean;
  });
  add("hessian_trace_estimate", {m}, [](Args x) {
    RandomStreams random(1);
    return hessian_trace_estimate(sum(tanh(x[0])), x[0], random).mean;
  });

  // Draws.
  add("uniform", {n, s, s}, [](Args x) {
    return RandomStreams(1).uniform({x[0], 3}, x[1], x[2], DType::float64);
  });
  add("normal", {n, s, s},
      [](Args x) { return RandomStreams(1).normal({x[0]}, x[1], x[2], DType::float64); });
  add("binomial", {n, s}, [](Args x) { return RandomStreams(1).binomial({x[0]}, 2, x[1]); });

  // Models.
  add("Layer", {m, m, v}, [](Args x) { return Layer{x[1], x[2], tanh}(x[0]); });
  add("Network", {m, m, v}, [](Args x) { return Network{{{x[1], x[2]}}}(x[0]); });
  add("ConvolutionalLayer", {four, Type{DType::float64, {3, 2, 3, 3}}, v}, [](Args x) {
    return ConvolutionalLayer{x[1], x[2], relu, 2}(x[0]);
  });
  add("reconstruction_cost", {m}, [](Args x) {
    RandomState random(1);
    return reconstruction_cost(autoencoder({3, 2}, random, {.dtype = DType::float64}), x[0],
                               cross_entropy);
  });
  add("denoising_cost", {m, m}, [](Args x) {
    RandomState random(1);
    return denoising_cost(autoencoder({3, 2}, random, {.dtype = DType::float64}), x[0], x[1],
                          squared_error);
  });
  for (const Penalty penalty : {Penalty::closed, Penalty::literal, Penalty::jacobian}) {
    add("contractive_cost", {m, s}, [penalty](Args x) {
      RandomState random(1);
      const auto model = contractive_autoencoder(3, 2, random, DType::float64);
      return contractive_cost(model, x[0], x[1], penalty).total;
    });
  }
  add("variational_cost", {m, s}, [](Args x) {
    RandomState random(1);
    RandomStreams streams(1);
    const auto model = variational_autoencoder(
        {3, 4, 2}, random, {.hidden = tanh, .output = sigmoid, .dtype = DType::float64});
    return variational_cost(model, x[0], streams, cross_entropy, x[1]).total;
  });
  add("sample", {m, m}, [](Args x) {
    RandomStreams streams(1);
    return sample({x[0], x[1]}, streams);
  });
  add("prior_divergence", {m, m}, [](Args x) { return prior_divergence({x[0], x[1]}); });
  const auto corrupted = [&](const char* name, auto corrupt) {
    add(name, {m}, [corrupt](Args x) {
      RandomStreams streams(1);
      return corrupt(Arg(x[0]), streams).x;
    });
  };
  corrupted("masking", [](const Arg& x, auto& r) { return masking(x, 0.3, r); });
  corrupted("masking_count", [](const Arg& x, auto& r) { return masking_count(x, 2, r); });
  corrupted("salt_and_pepper", [](const Arg& x, auto& r) { return salt_and_pepper(x, 0.3, r); });
  corrupted("gaussian", [](const Arg& x, auto& r) { return gaussian(x, 0.3, r); });
  add("dropout", {m}, [](Args x) {
    RandomStreams streams(1);
    return dropout(x[0], 0.3, streams);
  });
  add("layer_norm", {m, v, v}, [](Args x) { return layer_norm(x[0], x[1], x[2]); });
  add("rms_norm", {m, v}, [](Args x) { return rms_norm(x[0], x[1]); });
  add("gammainc", {m, m}, [](Args x) { return gammainc(x[0], x[1]); });
  add("gammaincc", {m, m}, [](Args x) { return gammaincc(x[0], x[1]); });
  add("gammaincinv", {m, m}, [](Args x) { return gammaincinv(x[0], x[1]); });
  add("gamma_slope", {m, m}, [](Args x) { return gamma_slope(1, x[0], x[1]); });
  add("poisson_quantile", {m, m}, [](Args x) { return poisson_quantile(x[0], x[1]); });
  add("emphasized", {m, s, s}, [](Args x) {
    RandomStreams streams(1);
    return emphasized(x[0], masking(x[0], 0.3, streams), x[1], x[2]);
  });
  add("jacobian_norm2", {m}, [](Args x) { return jacobian_norm2(tanh(x[0]), x[0]); });
  add("jacobian_norm2", {m, m, v}, [](Args x) {
    return jacobian_norm2(Layer{x[1], x[2], sigmoid}, x[0]);
  });
  add("hessian_norm2", {m}, [](Args x) { return hessian_norm2(tanh(x[0]), x[0]); });
  add("hessian_norm2", {m, m, v}, [](Args x) {
    return hessian_norm2(Layer{x[1], x[2], sigmoid}, x[0]);
  });
  add("jacobian_change", {m}, [](Args x) {
    RandomStreams streams(1);
    return jacobian_change(tanh(x[0]), x[0], 0.1, streams);
  });
  add("jacobian_change", {m, m, v}, [](Args x) {
    RandomStreams streams(1);
    return jacobian_change(Layer{x[1], x[2], sigmoid}, x[0], 0.1, streams);
  });
  add("nuclear_norm_bound", {m}, [](Args x) {
    const Expr h = tanh(x[0]);
    return nuclear_norm_bound(sigmoid(h), h, x[0]);
  });
  add("isometry_error", {m}, [](Args x) { return isometry_error(tanh(x[0]), x[0]); });
  add("orthonormality_error", {m}, [](Args x) { return orthonormality_error(tanh(x[0]), x[0]); });
  add("stretch_error", {m}, [](Args x) {
    RandomStreams streams(1);
    return stretch_error(tanh(x[0]), x[0], streams);
  });
  add("sparse_kl", {m}, [](Args x) { return sparse_kl(x[0], 0.1); });
  add("l1", {m}, [](Args x) { return l1(x[0]); });
  add("largest", {m}, [](Args x) { return largest(x[0], 2); });
  add("k_sparse", {m}, [](Args x) { return k_sparse(x[0], 2); });
  add("winner_take_all", {m}, [](Args x) { return winner_take_all(x[0], 0.5); });
  add("spatial_winners", {four}, [](Args x) { return spatial_winners(x[0], 0.5); });
  const auto with_dictionary = [&](const char* name, std::vector<Type> types, auto f) {
    add(name, std::move(types), [f](Args x) {
      RandomState random(1);
      return f(dictionary(3, 3, random, {.dtype = DType::float64}), x);
    });
  };
  add("topk_code", {m}, [](Args x) { return topk_code(x[0], 2); });
  add("batch_topk_code", {m}, [](Args x) { return batch_topk_code(x[0], 2); });
  add("thresholded", {m, s}, [](Args x) { return thresholded(x[0], x[1]); });
  add("total_variance", {m}, [](Args x) { return total_variance(x[0]); });
  add("normalized_error", {m, m}, [](Args x) { return normalized_error(x[0], x[1]); });
  with_dictionary("auxiliary_error", {m, m, flag}, [](const Dictionary& d, Args x) {
    return auxiliary_error(d, x[0], x[1], x[2], 2);
  });
  with_dictionary("multi_topk_error", {m},
                  [](const Dictionary& d, Args x) { return multi_topk_error(d, x[0], 1, 2); });
  with_dictionary("matryoshka_error", {m, m}, [](const Dictionary& d, Args x) {
    return matryoshka_error(d, x[0], x[1], {1, 3});
  });
  add("weighted_l1", {m, m}, [](Args x) { return weighted_l1(x[0], x[1]); });
  add("jumprelu", {m, v}, [](Args x) { return jumprelu(x[0], x[1]); });
  add("jumprelu_l0", {m, v}, [](Args x) { return jumprelu_l0(x[0], x[1]); });
  add("l0_target_error", {v}, [](Args x) { return l0_target_error(x[0], 2); });
  add("tanh_sparsity", {m, m}, [](Args x) { return tanh_sparsity(x[0], x[1]); });
  add("pre_activation_loss", {m, v, m},
      [](Args x) { return pre_activation_loss(x[0], x[1], x[2]); });
  add("gated_cost", {m, s}, [](Args x) {
    RandomState random(1);
    return gated_cost(gated_dictionary(3, 4, random, {.dtype = DType::float64}), x[0], x[1]).total;
  });
  add("crosscoder_error", {m, m}, [](Args x) {
    RandomState random(1);
    return crosscoder_error(crosscoder({3}, 3, random, {.dtype = DType::float64}), {x[0]}, x[1]);
  });
  add("crosscoder_l1", {m}, [](Args x) {
    RandomState random(1);
    return crosscoder_l1(crosscoder({3}, 3, random, {.dtype = DType::float64}), x[0]);
  });
  with_dictionary("latent_jacobian", {m}, [](const Dictionary& d, Args x) {
    return latent_jacobian(
        {d, d, 2}, [](const Arg& y) { return tanh(y); }, x[0]);
  });
  with_dictionary("jacobian_cost", {m, s}, [](const Dictionary& d, Args x) {
    return jacobian_cost(
               {d, d, 2}, [](const Arg& y) { return tanh(y); }, x[0], x[1])
        .total;
  });
  with_dictionary("count_idle", {m}, [](const Dictionary& d, Args x) {
    return values(count_idle(idle_counter(d), x[0]));
  });
  add("average_threshold", {m},
      [](Args x) { return values(average_threshold(inference_threshold(DType::float64), x[0])); });
  with_dictionary("resample", {flag, m, m}, [](const Dictionary& d, Args x) {
    RandomStreams streams(1);
    return values(resample(d, x[0], x[1], x[2], streams));
  });
  add("l0", {m}, [](Args x) { return l0(x[0]); });
  add("dead_share", {flag}, [](Args x) { return dead_share(x[0]); });
  add("explained_variance", {m, m}, [](Args x) { return explained_variance(x[0], x[1]); });
  add("recovered_loss", {s, s, s}, [](Args x) { return recovered_loss(x[0], x[1], x[2]); });
  add("max_cosines", {m, m}, [](Args x) { return max_cosines(x[0], x[1]); });
  add("metric", {m}, [](Args x) { return metric(tanh(x[0]), x[0]); });
  const auto drawn = [&](const char* name, std::vector<Type> types, auto f) {
    add(name, std::move(types), [f](Args x) {
      RandomStreams streams(1);
      return f(x, streams);
    });
  };
  drawn("mixed_codes", {m}, [](Args x, auto& r) { return mixed_codes(x[0], 0.1, r); });
  add("scaled_isometry_error", {m}, [](Args x) { return scaled_isometry_error(tanh(x[0]), x[0]); });
  drawn("scaled_isometry_estimate", {m},
        [](Args x, auto& r) { return scaled_isometry_estimate(tanh(x[0]), x[0], r); });
  add("conformal_error", {m}, [](Args x) { return conformal_error(tanh(x[0]), x[0]); });
  add("log_volume", {m}, [](Args x) { return log_volume(tanh(x[0]), x[0]); });
  add("volume_variance", {m}, [](Args x) { return volume_variance(tanh(x[0]), x[0]); });
  add("curvature", {m}, [](Args x) { return curvature(tanh(x[0]), x[0]); });
  drawn("curvature_estimate", {m},
        [](Args x, auto& r) { return curvature_estimate(tanh(x[0]), x[0], r); });
  add("rectangular_flow_cost", {m}, [](Args x) { return rectangular_flow_cost(tanh(x[0]), x[0]); });
  drawn("free_form_volume", {m}, [](Args x, auto& r) {
    const Expr h = tanh(x[0]);
    return free_form_volume(sigmoid(h), h, x[0], r);
  });
  drawn("free_form_cost", {m, s}, [](Args x, auto& r) {
    const Expr h = tanh(x[0]);
    return free_form_cost(sigmoid(h), h, x[0], x[1], r);
  });
  add("squared_distances", {m}, [](Args x) { return squared_distances(x[0]); });
  add("nearest_examples", {m}, [](Args x) { return nearest_examples(x[0], 2); });
  add("minimum_spanning_tree", {m}, [](Args x) { return minimum_spanning_tree(x[0]); });
  add("topological_error", {m, m}, [](Args x) { return topological_error(x[0], x[1]); });
  add("neighbourhood_error", {m, m}, [](Args x) {
    const Expr near = constant(Tensor(DType::int64, {3, 2}));
    return neighbourhood_error(x[0], tanh(x[1]), x[1], near, 2);
  });
  add("vicreg", {m, m}, [](Args x) { return vicreg(x[0], x[1]).total; });
  drawn("denoising_score_error", {m}, [](Args x, auto& r) {
    return denoising_score_error([](const Expr& e, const Expr&) { return e; }, x[0], {1, 0.1}, r);
  });
  drawn("sliced_score_error", {m},
        [](Args x, auto& r) { return sliced_score_error(tanh(x[0]), x[0], r); });
  add("spectral_norm", {m}, [](Args x) {
    RandomState random(1);
    return spectral_norm(x[0], random).norm;
  });
  add("tangents", {m}, [](Args x) { return tangents(tanh(x[0]), x[0], 2); });
  add("tangent_penalty", {m, Type{DType::float64, {3, 3, 2}}},
      [](Args x) { return tangent_penalty(tanh(x[0]), x[0], x[1]); });
  add("contraction_ratio", {m, s}, [](Args x) {
    RandomStreams streams(1);
    return contraction_ratio(tanh(x[0]), x[0], x[1], streams);
  });

  // Optimizers: of a cost, and of gradients.
  const auto optimizer = [&](const char* name, auto f) {
    add(name, {m, s}, [f](Args x) {
      const Shared p(Tensor::full(DType::float64, {3, 3}, 0.5), "p");
      return values(f(Arg(sum(square(x[0] - p))), std::vector{p}, Arg(x[1])));
    });
    add(name, {m}, [f](Args x) {
      const Shared p(Tensor::full(DType::float64, {3, 3}, 0.5), "p");
      return values(f(std::vector{p}, List{x[0]}, Arg(0.1)));
    });
  };
  optimizer("sgd", [](const auto&... a) { return sgd(a...); });
  optimizer("momentum", [](const auto&... a) { return momentum(a...); });
  optimizer("nesterov", [](const auto&... a) { return nesterov(a...); });
  optimizer("adam", [](const auto&... a) { return adam(a...); });
  optimizer("adamw", [](const auto&... a) { return adamw(a...); });
  optimizer("adagrad", [](const auto&... a) { return adagrad(a...); });
  optimizer("rmsprop", [](const auto&... a) { return rmsprop(a...); });
  optimizer("adadelta", [](const auto&... a) { return adadelta(a...); });
  add("constrained", {m}, [](Args x) {
    const Shared p(Tensor::full(DType::float64, {3, 3}, 0.5), "p");
    return values(
        constrained(sum(square(x[0] - p)), {p}, {unit_norm(p, 1)},
                    [](const auto& params, const auto& g) { return sgd(params, g, 0.1); }));
  });
  add("clip_by_value", {m, s}, [](Args x) { return clip_by_value({x[0]}, x[1]); });
  add("clip_by_norm", {m, s}, [](Args x) { return clip_by_norm({x[0]}, x[1]); });
  add("clip_by_global_norm", {m, s}, [](Args x) { return clip_by_global_norm({x[0]}, x[1]); });
  add("global_norm", {m}, [](Args x) { return global_norm({x[0]}); });
  add("zero_unless_finite", {m}, [](Args x) { return zero_unless_finite({x[0]}); });
  add("piecewise", {n}, [](Args x) { return schedule::piecewise(x[0], {3}, {0.1, 0.01}); });
  add("stepwise", {n}, [](Args x) { return schedule::stepwise(x[0], 0.1, 0.5, 3); });
  add("exponential", {n}, [](Args x) { return schedule::exponential(x[0], 0.1, 0.5); });
  add("inverse_time", {n}, [](Args x) { return schedule::inverse_time(x[0], 0.1, 0.5); });
  add("polynomial", {n}, [](Args x) { return schedule::polynomial(x[0], 0.1, 0.01, 9); });
  add("cosine", {n}, [](Args x) { return schedule::cosine(x[0], 0.1, 9); });
  add("warm_up", {n, s}, [](Args x) { return schedule::warm_up(x[0], 3, x[1]); });
  return all;
}

}  // namespace

const std::vector<PublicFunction>& public_functions() {
  static const std::vector<PublicFunction> all = make();
  return all;
}

bool is_callers_line(Source where) { return std::string_view(where.file) == __FILE__; }

}  // namespace cinch::testing

#include "cinch/ops/observed.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"

namespace cinch {

/// What is shown a value.
struct Observer {
  std::function<void(const Tensor&)> see;
};

constinit const Op observed_op{
    .name = "observed",
    .type =
        [](Args x, const Attrs&) {
          return Type{x[0].dtype(), x[0].dims()};
        },
    .reference =
        [](Values in, const Attrs& a) {
          a.observer->see(*in[0]);
          return *in[0];
        },
    .observes = true,
    .grad = [](Args, const Expr&, const Expr& gy) -> Grads { return {gy}; },
    .batch = [](Args x, const std::vector<bool>&,
                const Expr& y) { return apply(y.op(), {x[0]}, y.attrs(), y->where); },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr&) { return axes[0]; },
    .runs = Kernel{.run =
                       [](std::span<const Operand> in, const Operand& out, const Attrs& a) {
                         Tensor value(out.dtype, {out.shape.begin(), out.shape.end()});
                         dispatch(out.dtype, [&]<class T> {
                           const auto n = static_cast<std::size_t>(out.size());
                           std::copy_n(in[0].as<T>(), n, value.data<T>().data());
                           std::copy_n(in[0].as<T>(), n, out.as<T>());
                         });
                         a.observer->see(value);
                       },
                   .flops = [](const Expr&) { return 0.0; }},
    .examples = []() -> std::vector<Example> {
      const auto f = [](Args x) { return observed(x[0], [](const Tensor&) {}); };
      return {{{Type{DType::float64, {3, 4}}}, f},
              {{Type{DType::int64, {5}}}, f},
              {{Type{DType::float64, {0, 3}}}, f}};
    },
};

Expr observed(const Arg& x, std::function<void(const Tensor&)> see) {
  const Attribution as(x.where());
  if (!see) refuse("observed", "there is nothing to show the value to", x);
  return apply(observed_op, {x},
               {.observer = std::make_shared<const Observer>(Observer{std::move(see)})}, x.where());
}

Expr printed(const Arg& x, const std::string& name, std::ostream& out) {
  const Attribution as(x.where());
  return observed(
      x, [name, &out](const Tensor& value) { out << name << ": " << text(value) << std::endl; });
}

}  // namespace cinch

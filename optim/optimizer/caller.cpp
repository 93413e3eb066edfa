#include "cinch/optim/optimizer/caller.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cinch/core/grad.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/rewrite/rewrite.hpp"

namespace cinch::optimizer {

std::string Caller::message(const std::string& what) const {
  return refusal(name_, what, {}, where_);
}

void Caller::refuse_value(const std::string& what) const { throw ValueError(message(what)); }
void Caller::refuse_type(const std::string& what) const { throw TypeError(message(what)); }

void Caller::require(bool valid, std::string_view what, double value,
                     std::string_view range) const {
  if (!valid) refuse_value(text(what, " must be ", range, ", got ", value));
}

void Caller::require_scalar(const Arg& x, std::string_view what, bool below_one) const {
  if (!x.expr().has_value()) refuse_type(text(what, " is an empty expression"));
  if (x->rank() != 0 || x->dtype() == DType::bool_)
    refuse_type(text(what, " must be a number or a scalar, got ", text(x->type()), "  ",
                     describe(x.expr())));
  // Numbers may be formulas of numbers; a stored rate may be set later, but not be NaN.
  const Expr simple = rewriting::rewrite(std::span(&x.expr(), 1))[0];
  if (is_shared(simple))
    require(!std::isnan(as_shared(simple).value().item()), what,
            std::numeric_limits<double>::quiet_NaN(), "finite and not negative");
  const Tensor* constant = constant_value(simple);
  if (!constant) return;
  const double value = constant->item();
  if (below_one) {
    require(value >= 0 && value < 1, what, value, "in [0, 1)");
  } else {
    require(value >= 0 && std::isfinite(value), what, value, "finite and not negative");
  }
}

void Caller::require_parameters(const std::vector<Shared>& params) const {
  if (params.empty()) refuse_value("the list of parameters is empty");
  for (auto p = params.begin(); p != params.end(); ++p) {
    if (!p->has_value())
      refuse_type(text("parameter ", p - params.begin(), " is an empty expression"));
    if (!is_float(p->dtype()))
      refuse_type(text("parameter ", describe(*p), " is ", text(p->type()),
                       is_storage(p->dtype())
                           ? ", which is for data: a parameter is float32 or float64"
                           : ", which takes no small steps: cast it to a float"));
    if (std::find(params.begin(), p, *p) != p)
      refuse_value(text("parameter ", describe(*p), " is listed twice"));
  }
}

std::vector<Expr> Caller::gradients(const Arg& cost, const std::vector<Shared>& params) const {
  require_parameters(params);
  return grad(cost, params);
}

std::vector<Slope> Caller::slopes(const std::vector<Shared>& params,
                                  const std::vector<Expr>& gradients) const {
  require_parameters(params);
  if (gradients.size() != params.size())
    refuse_type(text(params.size(), " parameters have ", gradients.size(), " gradients"));
  std::vector<Slope> result;
  for (std::size_t k = 0; k < params.size(); ++k) {
    const Shared& p = params[k];
    const Expr& g = gradients[k];
    if (!g.has_value())
      refuse_type(text("the gradient of ", describe(p), " is an empty expression"));
    bool fits = g.dtype() == p.dtype() && g.rank() == p.rank();
    for (std::size_t axis = 0; fits && axis < p.dims().size(); ++axis)
      fits = !g.dims()[axis].known() || g.dims()[axis] == p.dims()[axis];
    if (!fits)
      refuse_type(text("parameter ", describe(p), " is ", text(p.type()), ", its gradient is ",
                       text(g.type()), "  ", describe(g)));
    const auto same = std::ranges::count(params, p.label(), &Shared::label);
    result.push_back({p, g, p.label().empty() || same > 1 ? text(p.label(), "#", k) : p.label()});
  }
  return result;
}

Shared Caller::state(std::string_view what, const Slope& slope, double start) const {
  return Shared(Tensor::full(slope.p.dtype(), slope.p.value().shape(), start),
                text(name_, ".", what, "/", slope.name));
}

Shared Caller::counter(std::string_view what) const {
  return Shared(Tensor(std::int64_t{0}), text(name_, ".", what));
}

}  // namespace cinch::optimizer

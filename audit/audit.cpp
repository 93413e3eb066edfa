#include "cinch/audit/audit.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "cinch/audit/search/batch.hpp"
#include "cinch/audit/search/constructions.hpp"
#include "cinch/audit/search/flow.hpp"
#include "cinch/audit/search/formula.hpp"
#include "cinch/audit/search/suspects.hpp"
#include "cinch/audit/search/terms.hpp"
#include "cinch/core/compile/fault.hpp"
#include "cinch/core/function.hpp"
#include "cinch/core/grad.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/random.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/rules/targets.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

double norm(const Tensor& x) {
  double squares = 0;
  for (std::int64_t i = 0; i < x.size(); ++i) squares += x.at(i) * x.at(i);
  return std::sqrt(squares);
}

/// "W", "W and b", "W, b and c".
std::string joined(const std::vector<std::string>& names) {
  std::string result;
  for (std::size_t i = 0; i < names.size(); ++i) {
    result += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  }
  return result;
}

std::string number(double x) {
  if (std::isnan(x)) return "nan";  // Whatever its sign.
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.precision(3);
  out << x;
  return out.str();
}

/// One audit: the cost as a probe, and what is found out about it bit by bit.
class Auditor {
 public:
  Auditor(const Arg& cost, const Parameters& parameters, const std::vector<Binding>& at,
          const AuditOptions& options)
      : options_(options) {
    // Expressions that options speak of are carried along, if the cost has them.
    std::vector<Expr> roots{cost};
    const std::vector<Expr> order = topological(roots);
    const auto carry = [&](const Expr& e) {
      const bool there = std::ranges::find(order, e) != order.end();
      if (there) roots.push_back(e);
      return there;
    };
    std::vector<std::string> names;
    for (const auto& [e, name] : options.names) {
      if (carry(e)) names.push_back(name);
    }
    for (const Expr& e : options.consider_constant) carry(e);
    at_ = checking::probe(roots, parameters, at, /*in_float64=*/false, "audit");
    NodeSet named;
    for (std::size_t k = 1; k < at_.roots.size(); ++k) {
      const Expr& e = at_.roots[k];
      if (k <= names.size()) {
        names_[e.get()] = names[k - 1];
        named.insert(e.get());
      } else {
        constants_.push_back(e);
        constant_set_.insert(e.get());
      }
    }
    stable_ = rewriting::rewrite(std::span(&root(), 1)).front();
    depends_ = searching::dependents(root(), at_.parameters);
    kinks_ = searching::kinked(root());
    terms_ = searching::split(root(), depends_, named);
    batch_ = searching::find_batch(at_, options.batch);
    for (const auto& [variable, value] : at) {
      if (std::ranges::find(at_.originals, variable) == at_.originals.end())
        unused_.push_back(variable);
    }
    result_.where = cost.expr()->where;
    result_.examples = batch_.examples;
    for (const std::size_t k : batch_.inputs) result_.batch.push_back(describe(at_.inputs[k]));
    for (const Expr& p : at_.parameters) result_.parameters.push_back(describe(p));
  }

  AuditReport run() {
    measure_terms();
    measure_growth();
    for (std::size_t t = 0; t < terms_.size(); ++t) {
      const int found = static_cast<int>(result_.findings.size());
      find_not_finite(t);
      if (static_cast<int>(result_.findings.size()) > found) continue;  // The rest would follow.
      find_stops(t);
      find_given(t);
      find_copies(t);
      find_foreign_slopes(t);
    }
    find_unreached();
    find_scales();
    find_saturation();
    find_targets();
    find_squashed();
    find_mixing();
    find_constructions();
    find_summed_draws();
    find_inputs();
    find_left_out();
    return std::move(result_);
  }

 private:
  const Expr& root() const { return at_.roots[0]; }
  AuditTerm& term(std::size_t t) { return result_.terms[t]; }
  std::string title(std::size_t t) const {
    return terms_.size() == 1 ? "The cost" : text("Term ", t + 1);
  }

  std::vector<Tensor> values(std::vector<Expr> outputs) const {
    return function({.inputs = at_.inputs,
                     .outputs = std::move(outputs),
                     .allow_unused_inputs = true})(at_.values);
  }
  double value(const Expr& e) const { return values({e})[0].item(); }
  /// A layer of relu units that are all 0 for every example; empty where there is none.
  Expr dead_layer() const {
    for (const searching::Nonlinearity& n : searching::nonlinearities(root(), depends_)) {
      if (n.op == "relu" && norm(value_tensor(n.node)) == 0) return n.node;
    }
    return {};
  }

  /// A bound or a choice in a term that keeps all of a gradient back, as the hinge of a norm that
  /// is small enough does; empty where there is none.
  Expr idle_choice(std::size_t t, const std::vector<std::string>& parameters) const {
    std::vector<Expr> leaves;
    for (std::size_t k = 0; k < at_.parameters.size(); ++k) {
      if (std::ranges::find(parameters, result_.parameters[k]) == parameters.end()) continue;
      leaves.push_back(at_.parameters[k]);
    }
    const NodeSet moving = searching::dependents(terms_[t].whole, leaves);
    for (const Expr& node : searching::value_nodes(terms_[t].whole)) {
      const Op* op = &node.op();
      const bool chooses =
          op == &relu_op || op == &maximum_op || op == &minimum_op || op == &switch_op;
      if (!chooses || !moving.contains(node.get()) || !is_float(node.dtype())) continue;
      const std::vector<Tensor> slopes =
          values(grad(sum(node), leaves, {.disconnected = Disconnected::zero}));
      if (std::ranges::all_of(slopes, [](const Tensor& g) { return norm(g) == 0; })) return node;
    }
    return {};
  }
  /// Whether a variable has examples and all of them are 0.
  bool all_data_are_zero() const {
    bool any = false, zero = true;
    for (std::size_t k = at_.parameters.size(); k < at_.inputs.size(); ++k) {
      if (!is_float(at_.inputs[k].dtype())) continue;
      any = true;
      zero = zero && norm(at_.values[k]) == 0;
    }
    return any && zero;
  }

  void add(Finding kind, int term, std::vector<std::string> parameters, Source where,
           std::string text, std::optional<double> mended = {}) {
    result_.findings.push_back({kind, term, std::move(parameters), where, std::move(text), mended});
  }
  static void put(std::vector<AuditFinding>& into, Finding kind, int term,
                  std::vector<std::string> parameters, Source where, std::string text) {
    into.push_back({kind, term, std::move(parameters), where, std::move(text), {}});
  }

  std::vector<Expr> gradient_of(const Expr& e) const {
    return grad(e, at_.parameters,
                {.consider_constant = constants_, .disconnected = Disconnected::zero});
  }

  /// Norm of the gradient of another formula by some of the parameters; nothing if it has none.
  std::optional<double> norm_by(const Expr& e, const std::vector<std::size_t>& parameters) const {
    try {
      std::vector<Expr> wrt;
      for (const std::size_t k : parameters) wrt.push_back(at_.parameters[k]);
      double squares = 0;
      for (const Tensor& g : values(grad(e, wrt, {.disconnected = Disconnected::zero}))) {
        squares += norm(g) * norm(g);
      }
      return std::isfinite(squares) && squares > 0 ? std::optional(std::sqrt(squares))
                                                   : std::nullopt;
    } catch (const Error&) {
      return {};
    }
  }

  void measure_terms() {
    std::vector<Expr> outputs{root()};
    for (const searching::Term& t : terms_) {
      outputs.push_back(t.whole);
      std::ranges::copy(gradient_of(t.whole), std::back_inserter(outputs));
    }
    const std::vector<Tensor> all = values(outputs);
    const std::size_t count = at_.parameters.size();
    result_.value = all[0].item();
    double total = 0;
    for (std::size_t t = 0; t < terms_.size(); ++t) {
      AuditTerm one;
      const Expr& head = terms_[t].head;
      const auto named = names_.find(head.get());
      one.name = named != names_.end() ? named->second : searching::formula_text(head);
      one.where = head->where.line ? head->where : result_.where;
      const Tensor* mine = &all[1 + t * (count + 1)];
      one.value = mine->item();
      double squares = 0;
      for (std::size_t k = 0; k < count; ++k) {
        one.norms.push_back(norm(mine[1 + k]));
        squares += one.norms[k] * one.norms[k];
        flows_.push_back(
            searching::flow(terms_[t].whole, at_.parameters[k], constant_set_, kinks_));
        const searching::TermFlow& f = flows_.back();
        one.reach.push_back(f.flows ? Reach::flows : f.mentions ? Reach::stopped : Reach::none);
      }
      one.share = std::sqrt(squares);
      total += one.share;
      one.mean_over = mean_of(terms_[t].whole);
      // A mean over probes, drawn numbers of which there are several for each example, is one
      // value.
      for (const Expr& node : searching::value_nodes(terms_[t].whole)) {
        const bool drawn = &node.op() == &random_uniform_op || &node.op() == &random_normal_op;
        if (!drawn || node.rank() < 2 || !node.dims()[0].known() || node.dims()[0].size() < 1)
          continue;
        const std::int64_t probes = node.dims()[0].size();
        if (probes > 1 && one.mean_over % probes == 0) one.mean_over /= probes;
      }
      compare(one, t);
      result_.terms.push_back(std::move(one));
    }
    for (AuditTerm& one : result_.terms) one.share = total > 0 ? one.share / total : 0;
  }

  /// Over how many values of an example a term is a mean. One over units and no examples, as of
  /// weights, or over pairs of examples is none: numbers of examples tell them apart.
  std::int64_t mean_of(const Expr& term) const {
    const std::int64_t n = batch_.examples;
    const auto with = [&](const std::vector<Tensor>& values, std::int64_t examples) {
      return searching::mean_over(term, depends_, examples, [&](const Expr& e) {
        return function({.inputs = at_.inputs, .outputs = {e}, .allow_unused_inputs = true})(
                   values)[0]
            .item();
      });
    };
    const std::int64_t result = with(at_.values, n);
    if (result == 1 || n < 2) return result;
    try {
      const std::int64_t all = with(at_.values, 1),
                         fewer = with(searching::with_examples(at_, batch_, 0, n - 1), 1);
      return all * (n - 1) == fewer * n ? result : 1;
    } catch (const Error&) {
      return result;  // The number of examples is part of the formula.
    }
  }

  const searching::TermFlow& flow_of(std::size_t t, std::size_t parameter) const {
    return flows_[t * at_.parameters.size() + parameter];
  }

  void compare(AuditTerm& one, std::size_t t) const {
    std::vector<Expr> wrt;
    for (std::size_t k = 0; k < at_.parameters.size(); ++k) {
      if (one.reach[k] != Reach::none) wrt.push_back(at_.parameters[k]);
    }
    if (wrt.empty() || !std::isfinite(one.value)) return;
    one.differences = check_grad(terms_[t].whole, wrt, at_.bindings(),
                                 {.shown = 3,
                                  .disconnected = Disconnected::zero,
                                  .hold_stopped = false,  // To see what is held.
                                  .title = text("audit, term ", t + 1)});
  }

  void measure_growth() {
    std::vector<Expr> wholes;
    for (const searching::Term& t : terms_) wholes.push_back(t.whole);
    const searching::Growth g = searching::growth(wholes, at_, batch_);
    for (std::size_t t = 0; t < terms_.size(); ++t) term(t).growth = g.exponents[t];
    mixes_ = g.mixes;
    if (g.error.empty()) return;
    add(Finding::fixed_batch, -1, {}, result_.where,
        text("The cost cannot be computed for another number of examples than ", batch_.examples,
             ", so a last, smaller batch will fail. Take sizes from size(x, 0).\n", g.error));
  }

  void find_not_finite(std::size_t t) {
    const AuditTerm& one = term(t);
    const bool value_is = std::isfinite(one.value);
    std::vector<std::string> bad;
    for (std::size_t k = 0; k < one.norms.size(); ++k) {
      if (!std::isfinite(one.norms[k])) bad.push_back(result_.parameters[k]);
    }
    if (value_is && bad.empty()) return;
    std::vector<Expr> computed{terms_[t].whole};
    if (value_is) computed = gradient_of(terms_[t].whole);
    const std::vector<Binding> at = at_.bindings();
    const compiling::Inquiry found = compiling::inquire(computed, at);
    const std::string first =
        found.fault ? found.fault->text : std::string(compiling::only_compiled);
    add(Finding::not_finite, static_cast<int>(t), bad, one.where,
        value_is
            ? text(title(t), " has a gradient by ", joined(bad), " that is not finite.\n", first)
            : text(title(t), " is ", number(one.value), ".\n", first));
  }

  /// Rules in place of gradients, which differ from the value's slope on purpose.
  void find_given(std::size_t t) {
    for (const GivenGradient& given : term(t).differences.given) {
      if (given.same) continue;
      result_.notes.push_back(
          {Finding::given_gradient,
           static_cast<int>(t),
           {},
           term(t).where,
           text(title(t), " has the gradient that a rule gives, and not that of its value, in ",
                given.what, ".\nThe rest of the gradient is compared with finite differences.")});
    }
  }

  void find_stops(std::size_t t) {
    const AuditTerm& one = term(t);
    // Parameters that the same ops stop are one finding.
    std::vector<std::pair<std::vector<Expr>, std::vector<std::size_t>>> stopped, partly;
    std::vector<std::string> zero;
    bool undecided = false, excused = false;
    for (const OrderCheck& order : one.differences.orders) {
      undecided = undecided || std::ranges::none_of(order.along, &Derivative::decided);
    }
    const bool wrong = !one.differences.ok && !undecided;
    const NodeSet open = not_held(t);
    for (std::size_t k = 0; k < at_.parameters.size(); ++k) {
      const searching::TermFlow& f = flow_of(t, k);
      if (!f.mentions) continue;
      std::vector<Expr> stops;
      for (const Expr& stop : f.stops) {
        if (!open.contains(stop.get()) && !wrong) continue;
        const bool held = is_held(stop);
        excused = excused || held;
        // A gradient that is right in spite of a held part needs none through it.
        const bool counts = !f.flows || (!searching::is_choice(stop, terms_[t].whole) &&
                                         !constant_set_.contains(stop.get()) && (!held || wrong));
        if (counts) stops.push_back(stop);
      }
      auto& groups = f.flows ? partly : stopped;
      if (!stops.empty()) {
        const auto same = std::ranges::find(groups, stops, [](const auto& g) { return g.first; });
        if (same != groups.end()) {
          same->second.push_back(k);
        } else {
          groups.push_back({stops, {k}});
        }
      }
      if (f.flows && one.norms[k] == 0 && norm(at_.values[k]) > 0 && !is_start(t, k))
        zero.push_back(result_.parameters[k]);
    }
    for (const auto& [stops, parameters] : stopped)
      report_stops(t, stops, parameters, false, wrong);
    for (const auto& [stops, parameters] : partly) report_stops(t, stops, parameters, true, wrong);
    if (!zero.empty()) {
      // A layer of few relu units may be 0 for all of a few examples by chance.
      const Expr dead = dead_layer();
      const Expr idle = dead.has_value() ? Expr() : idle_choice(t, zero);
      put(dead.has_value() || idle.has_value() ? result_.notes : result_.findings,
          Finding::zero_gradient, static_cast<int>(t), zero, one.where,
          text(title(t), " has a gradient by ", joined(zero), ", but all of it is 0 here: ",
               dead.has_value()
                   ? text("the relu units at ", dead->where.text(), " are all 0 for every example.")
               : idle.has_value()    ? text("the ", idle.op().name, " at ", idle->where.text(),
                                            " takes its other side.")
               : all_data_are_zero() ? "all examples are 0."
                                     : "a factor of 0, or units that do not move."));
    }
    if (undecided) {
      report_kink(t);
    } else if (wrong && !excused) {
      add(Finding::wrong_gradient, static_cast<int>(t), {}, one.where,
          text(title(t), "'s gradient is not that of its value. An op it uses has a wrong one.\n",
               one.differences.report));
    }
  }

  /// Differences by some parameters may tell all the same, as where new biases leave a few relu
  /// units of many at their kink: that is a note.
  void report_kink(std::size_t t) {
    const AuditTerm& one = term(t);
    std::vector<std::string> skipped;
    bool told = false;
    for (const OrderCheck& order : one.differences.orders) {
      for (const auto& [name, derivative] : order.parameters) {
        told = told || derivative.decided;
        if (!derivative.decided) skipped.push_back(name);
      }
    }
    const std::string what = text("Finite differences tell nothing about ",
                                  terms_.size() == 1 ? "the cost" : text("term ", t + 1),
                                  told ? text(" by ", joined(skipped)) : "",
                                  ": there is a kink or a jump at these values",
                                  told ? ". By the other parameters they agree." : ".");
    if (told) {
      note(Finding::undecided, static_cast<int>(t), skipped, one.where, what);
    } else {
      add(Finding::undecided, static_cast<int>(t), {}, one.where, what);
    }
  }

  /// Whether the gradient by a parameter is 0 because another one is, as the weights of a
  /// classifier are at the start: that passes with the first step.
  bool is_start(std::size_t t, std::size_t parameter) const {
    std::vector<Tensor> moved = at_.values;
    bool any = false;
    for (std::size_t k = 0; k < at_.parameters.size(); ++k) {
      if (k == parameter || norm(moved[k]) > 0) continue;
      any = true;
      Tensor start(DType::float64, moved[k].shape());
      const std::span<double> elements = start.data<double>();
      for (std::size_t i = 0; i < elements.size(); ++i)
        elements[i] = 0.1 * std::sin(1 + 2.4 * static_cast<double>(i));
      moved[k] = start.cast(moved[k].dtype());
    }
    if (!any) return false;
    const Function slope = function({.inputs = at_.inputs,
                                     .outputs = {gradient_of(terms_[t].whole)[parameter]},
                                     .allow_unused_inputs = true});
    return norm(slope(moved)[0]) > 0;
  }

  void report_stops(std::size_t t, const std::vector<Expr>& stops,
                    const std::vector<std::size_t>& parameters, bool partial, bool wrong) {
    std::vector<std::string> names;
    for (const std::size_t k : parameters) names.push_back(result_.parameters[k]);
    const std::size_t shown = std::min<std::size_t>(stops.size(), 3);
    std::vector<std::string> ops;
    for (std::size_t i = 0; i < shown; ++i) {
      const std::string op(stops[i].op().name);
      if (std::ranges::find(ops, op) == ops.end()) ops.push_back(op);
    }
    std::string what =
        partial ? text(title(t), " has no gradient to ", joined(names), " through ", joined(ops))
                : text(title(t), " mentions ", joined(names), " but has no gradient to ",
                       names.size() > 1 ? "them" : "it", ": ", joined(ops),
                       ops.size() > 1 ? " stop it" : " stops it");
    what += wrong ? ", though finite differences see a slope.\n" : ".\n";
    for (std::size_t i = 0; i < shown; ++i) {
      what += text(searching::formula_text(stops[i]), "  at ", stops[i]->where.text(), "\n");
    }
    const auto held = std::ranges::find_if(stops, is_held);
    what += searching::remedy(held != stops.end() ? *held : stops[0], constant_set_);
    std::optional<double> mended;
    // What grad() was told to hold has a gradient as it stands.
    const bool told = constant_set_.contains(stops[0].get());
    const std::optional<Expr> open =
        told ? std::optional(terms_[t].whole) : searching::without_stops(terms_[t].whole);
    if (open) mended = norm_by(*open, parameters);
    if (mended) {
      double now = 0;
      for (const std::size_t k : parameters) now = std::hypot(now, term(t).norms[k]);
      // What is stopped adds nothing to the gradient, as a mask of what is selected anyway.
      if (partial && std::abs(*mended - now) <= 1e-6 * now) return;
      what += text("\nWithout the stop the gradient's norm would be ", number(*mended), ", not ",
                   number(now), ".");
    }
    const bool meant =
        (is_target(t, stops) &&
         std::ranges::all_of(parameters, [&](std::size_t k) { return is_reached(k); })) ||
        is_left_to_others(t, stops, parameters);
    auto& into = meant ? result_.notes : result_.findings;
    into.push_back({partial ? Finding::partial_gradient : Finding::no_gradient, static_cast<int>(t),
                    names, stops[0]->where, what, mended});
  }

  /// Whether a term holds what it makes of the examples by stop_gradient(), and something else of
  /// it moves: codes and codebooks, a teacher's output, a value to go through. What holds weights
  /// alone, or all that a term is, is held by mistake.
  bool is_target(std::size_t t, const std::vector<Expr>& stops) const {
    const NodeSet open = not_held(t);
    return flows(t) && batch_.examples > 0 && std::ranges::any_of(stops, is_held) &&
           std::ranges::all_of(stops, [&](const Expr& stop) {
             return is_held(stop) ? reads_examples(stop)
                                  : !is_float(stop.dtype()) || !open.contains(stop.get());
           });
  }
  /// Whether any term trains a parameter.
  bool is_reached(std::size_t parameter) const {
    for (std::size_t s = 0; s < terms_.size(); ++s)
      if (flow_of(s, parameter).flows) return true;
    return false;
  }
  /// Whether other terms train what this one only selects by, as the gate of a latent, or holds on
  /// purpose, a parameter as such.
  bool is_left_to_others(std::size_t t, const std::vector<Expr>& stops,
                         const std::vector<std::size_t>& parameters) const {
    const auto trained = [&](std::size_t k) {
      for (std::size_t s = 0; s < result_.terms.size(); ++s)
        if (s != t && flow_of(s, k).flows) return true;
      return false;
    };
    return std::ranges::all_of(parameters, trained) &&
           std::ranges::all_of(stops, [&](const Expr& stop) {
             Expr held = stop.inputs()[0];
             while (&held.op() == &dimshuffle_op) held = held.inputs()[0];
             const bool frozen = &stop.op() == &stop_gradient_op &&
                                 std::ranges::find(at_.parameters, held) != at_.parameters.end();
             return frozen || searching::selects(stop, terms_[t].whole);
           });
  }
  /// The nodes of a term that stand outside of what it holds, by stop_gradient() or as a value with
  /// a gradient of its own: the rounding of a code that goes straight through does not.
  NodeSet not_held(std::size_t t) const {
    const std::vector<Expr> order = topological(std::span(&terms_[t].whole, 1));
    NodeSet open{terms_[t].whole.get()};
    for (auto node = order.rbegin(); node != order.rend(); ++node) {
      if (!open.contains(node->get()) || &node->op() == &stop_gradient_op) continue;
      for (std::size_t k = 0; k < node->inputs().size(); ++k) {
        if (!node->op().given || node->op().given(*node, k)) open.insert(node->inputs()[k].get());
      }
    }
    return open;
  }
  /// Whether a term has a gradient to any parameter.
  bool flows(std::size_t t) const {
    const std::vector<Reach>& reach = result_.terms[t].reach;
    return std::ranges::find(reach, Reach::flows) != reach.end();
  }
  static bool is_held(const Expr& stop) {
    return &stop.op() == &stop_gradient_op || stop.op().given;
  }

  void find_copies(std::size_t t) {
    for (const searching::Copy& copy : searching::copies(terms_[t].whole, at_)) {
      const Expr& parameter = at_.parameters[copy.parameter];
      const std::string& name = result_.parameters[copy.parameter];
      const Expr live = copy.transposed ? transpose(parameter) : parameter;
      const Expr mended = substitute(std::span(&terms_[t].whole, 1),
                                     {{copy.leaf, cast(live, copy.leaf.dtype())}})[0];
      const std::optional<double> norm_with = norm_by(mended, {copy.parameter});
      const bool constant = constant_value(copy.leaf) != nullptr;
      std::string what =
          text(title(t), " takes ", constant ? "a constant" : describe(copy.leaf),
               " with the elements of ", name, copy.transposed ? ", transposed," : "", " where ",
               name, " itself may be meant, in ", searching::formula_text(copy.user), "  at ",
               copy.user->where.text(), ".\nThe copy stays as it is while ", name,
               " is trained, and the gradient knows nothing of it: write ",
               copy.transposed ? text("transpose(", name, ")") : name,
               ", unless a value of the past is meant.");
      if (norm_with) {
        what += text("\nWith ", name, " in its place the gradient's norm by ", name, " would be ",
                     number(*norm_with), ", not ", number(term(t).norms[copy.parameter]), ".");
      }
      add(Finding::copied_parameter, static_cast<int>(t), {name}, copy.user->where, what,
          norm_with);
    }
  }

  void find_foreign_slopes(std::size_t t) {
    for (const searching::ForeignSlope& slope : searching::foreign_slopes(terms_[t].whole)) {
      add(Finding::foreign_slope, static_cast<int>(t), {}, slope.slope->where,
          text(title(t), " has ", slope.formula, ", the slope of a ", slope.belongs, ", of what ",
               slope.values.op().name, " computes at ", slope.values->where.text(),
               ". The slope of these units is ", slope.right,
               ". jacobian(h, x) finds the right one for any layers."));
    }
  }

  void find_unreached() {
    for (std::size_t k = 0; k < at_.parameters.size(); ++k) {
      bool reached = false, mentioned = false;
      for (const AuditTerm& one : result_.terms) {
        reached = reached || one.reach[k] == Reach::flows;
        mentioned = mentioned || one.reach[k] != Reach::none;
      }
      if (reached) continue;
      const std::string& name = result_.parameters[k];
      add(Finding::unreached, -1, {name}, at_.originals[k]->where,
          text("No term has a gradient to ", name,
               mentioned ? ": it will never be trained."
                         : ", for none mentions it: leave it out of the parameters, or the cost "
                           "lacks something."));
    }
    for (std::size_t t = 0; t < terms_.size(); ++t) {
      if (!is_constant_term(t) || !depends_on_data(terms_[t].whole)) continue;
      // The entropy of targets in a divergence, as printed, is a part of one line.
      bool part = false;
      for (std::size_t s = 0; s < terms_.size(); ++s)
        part = part || (!is_constant_term(s) && term(s).where.text() == term(t).where.text());
      put(part ? result_.notes : result_.findings, Finding::constant_term, static_cast<int>(t), {},
          term(t).where,
          text(title(t), " depends on no parameter: it shifts the cost and trains nothing."));
    }
  }

  bool is_constant_term(std::size_t t) const {
    return std::ranges::all_of(result_.terms[t].reach, [](Reach r) { return r == Reach::none; });
  }
  /// Whether it is more than a number: log(2 pi) shifts a density as it is to.
  static bool depends_on_data(const Expr& e) {
    return std::ranges::any_of(searching::value_nodes(e), [](const Expr& node) {
      return is_variable(node) || is_shared(node);
    });
  }

  void find_scales() {
    // Sums, divisions and roots give halves of whole exponents; others come of rounding, as where a
    // share of the examples is selected.
    const auto depends_on_batch = [&](const AuditTerm& one) {
      if (!one.growth) return false;
      const double nearest = std::round(2 * *one.growth) / 2;
      return nearest != 0 && std::abs(*one.growth - nearest) < 0.05;
    };
    std::size_t growing = 0, trained = 0;
    for (const AuditTerm& one : result_.terms) {
      if (!std::ranges::any_of(one.reach, [](Reach r) { return r != Reach::none; })) continue;
      ++trained;
      growing += depends_on_batch(one);
    }
    for (std::size_t t = 0; t < terms_.size(); ++t) {
      const AuditTerm& one = term(t);
      if (!depends_on_batch(one)) continue;
      const double e = *one.growth;
      std::string what =
          std::abs(e - 1) < 0.1
              ? text(title(t),
                     " is a sum over the examples: it doubles with their number, and so do "
                     "its steps. Take the mean over them.")
          : std::abs(e + 1) < 0.1
              ? text(title(t),
                     " halves when there are twice as many examples: it is divided by "
                     "their number without being a sum over them. Leave the division out.")
              : text(title(t), " changes with the number n of examples, as n^", number(e),
                     ". Take the mean over them, once.");
      if (growing < trained) {
        what += " Other terms stay, so that the batch size decides what the cost weighs most.";
      }
      add(Finding::batch_scale, static_cast<int>(t), {}, one.where, what);
    }
    // A sum over an example's values in one term, and their mean in another.
    // Of weights alone, as their decay, nothing is summed that could be a mean.
    // Nor is something of the batch as a whole, a covariance of units, a sum over an example's
    // values.
    bool any_sum = false;
    for (std::size_t t = 0; t < terms_.size(); ++t)
      any_sum = any_sum || (term(t).mean_over == 1 && flows(t) && !is_share(t) && !mixes_[t] &&
                            reads_examples(terms_[t].whole));
    for (std::size_t t = 0; t < terms_.size(); ++t) {
      const AuditTerm& one = term(t);
      if (one.mean_over == 1 || !any_sum) continue;
      add(Finding::mixed_means, static_cast<int>(t), {}, one.where,
          text(title(t), " is a mean over the ", one.mean_over,
               batch_.examples > 1 ? " values of an example as well as over the examples"
                                   : " values of an example",
               ", and other terms are not: against a sum over these values it counts ",
               one.mean_over, " times less. Where a sum is meant, write mean(sum(..., 1))."));
    }
  }

  /// Whether a term is divided by another number that examples make, as an error is by the
  /// variance: a share, in which sums and means over an example's values are the same.
  bool is_share(std::size_t t) const {
    const Expr& head = terms_[t].head;
    return &head.op() == &div_op && head.inputs()[1].rank() == 0 &&
           reads_examples(head.inputs()[1]);
  }
  /// Whether a term's value depends on variables that hold examples.
  bool reads_examples(const Expr& term) const {
    std::vector<Expr> examples;
    for (const std::size_t k : batch_.inputs) examples.push_back(at_.inputs[k]);
    return batch_.examples == 0 || searching::dependents(term, examples).contains(term.get());
  }

  void find_saturation() {
    const std::vector<searching::Nonlinearity> found = searching::nonlinearities(root(), depends_);
    std::vector<Expr> outputs;
    for (const searching::Nonlinearity& n : found) outputs.push_back(n.node);
    if (outputs.empty()) return;
    const std::vector<Tensor> computed = values(outputs);
    for (std::size_t i = 0; i < found.size(); ++i)
      result_.units.push_back(count_units(found[i], computed[i], options_.saturation));
    const bool none_alive = std::ranges::all_of(result_.units, [](const AuditUnits& units) {
      return units.op != "relu" || units.stuck == units.units;
    });
    for (std::size_t i = 0; i < found.size(); ++i) {
      const AuditUnits& units = result_.units[i];
      const bool relu = units.op == "relu";
      // Of a few units some are 0 for these examples, and not for others: new weights are that way.
      const bool all = units.stuck == units.units && (none_alive || units.units >= beyond_chance);
      if (relu && !all && !many_far(found[i], units)) continue;
      // One or two examples say little of a unit.
      const bool several = computed[i].rank() > 1 && computed[i].shape()[0] >= 4;
      const double stuck = static_cast<double>(units.stuck) /
                           static_cast<double>(std::max<std::int64_t>(units.units, 1));
      const bool by_chance = !relu && units.stuck == 1 && units.units > 1;
      const bool too_stuck = several && stuck >= options_.most_stuck && !by_chance;
      // One that is stuck, or nearly, by chance says nothing of the others.
      const auto n = static_cast<double>(units.units);
      const double share = n > 1 ? (n * units.saturated - 1) / (n - 1) : units.saturated;
      if (!too_stuck && (relu || share < options_.most_saturated)) continue;
      std::string what =
          relu ? text(units.stuck, " of ", units.units,
                      " relu units are 0 for every example: no gradient "
                      "reaches their weights, and they stay so.")
               : text("Of the values of these ", units.units, " ", units.op, " units ",
                      number(100 * units.saturated), " % are within ", number(options_.saturation),
                      " of a limit",
                      several ? text(", ", units.stuck, " units for every example") : "",
                      ": hardly any gradient passes.");
      what += " Smaller weights or inputs help.";
      add(relu ? Finding::dead : Finding::saturated, -1, {}, units.where, what);
    }
  }

  /// Whether many units that are 0 everywhere are so by far, not by chance.
  bool many_far(const searching::Nonlinearity& relu, const AuditUnits& units) const {
    const auto far = static_cast<double>(
        searching::count_far_units(value_tensor(searching::argument_of(relu.node))));
    constexpr double by_chance = 0.4;  // Of a layer of few units.
    return far >= std::max(options_.most_stuck, by_chance) * static_cast<double>(units.units);
  }
  /// So many relu units are not all 0 by chance, where new weights make each so in two cases of
  /// five.
  static constexpr std::int64_t beyond_chance = 8;
  Tensor value_tensor(const Expr& e) const { return values({e})[0]; }

  void find_targets() {
    for (std::size_t t = 0; t < terms_.size(); ++t) {
      for (const Expr& target : rules::cross_entropy_targets(terms_[t].whole)) {
        const std::vector<Tensor> limits = values({min(target), max(target)});
        const double low = limits[0].item(), high = limits[1].item();
        constexpr double rounding = 1e-5;
        if (!(low < -rounding || high > 1 + rounding)) continue;
        add(Finding::out_of_range, static_cast<int>(t), {}, target->where,
            text(title(t), " is a cross-entropy whose targets ", searching::formula_text(target),
                 " are from ", number(low), " to ", number(high),
                 ", not in [0, 1]: it falls without end",
                 term(t).value < 0 ? text(", and is ", number(term(t).value), " already") : "",
                 ". ", high > 1.5 && low >= 0 ? "Divide pixels by 255" : "Scale them into [0, 1]",
                 ", or take squared_error."));
      }
    }
  }

  void find_squashed() {
    for (const searching::Squashed& s : searching::squashed_twice(stable_)) {
      const std::string_view name = &s.inner.op() == &softmax_op ? "softmax" : "sigmoid";
      add(Finding::squashed_twice, -1, {}, s.outer->where,
          text("A ", name, " is taken of ", searching::formula_text(s.inner), ", which is a ", name,
               " already, of line ", s.inner->where.line,
               ": all it gives lies close together, and hardly any gradient passes. A loss that "
               "takes scores wants what comes before the ",
               name, "."));
    }
  }

  void note(Finding kind, int term, std::vector<std::string> parameters, Source where,
            std::string text) {
    put(result_.notes, kind, term, std::move(parameters), where, std::move(text));
  }

  /// The first softmax of the cost along an axis that grows with the number of examples, while no
  /// other one does: over (examples, examples), as in contrastive costs, it is meant.
  Expr softmax_over_examples() const {
    const std::int64_t n = batch_.examples;
    if (n < 2) return {};
    std::vector<Expr> found, lengths;
    for (const Expr& node : searching::value_nodes(stable_)) {
      if (&node.op() != &softmax_op && &node.op() != &log_softmax_op) continue;
      found.push_back(node);
      std::ranges::copy(sizes(node), std::back_inserter(lengths));
    }
    if (found.empty()) return {};
    const Function run =
        function({.inputs = at_.inputs, .outputs = lengths, .allow_unused_inputs = true});
    const std::vector<Tensor> all = run(at_.values),
                              half = run(searching::with_examples(at_, batch_, 0, n / 2));
    std::size_t k = 0;
    for (const Expr& node : found) {
      bool along = false, others = false;
      for (std::int64_t axis = 0; axis < node.rank(); ++axis, ++k) {
        const bool grows = all[k].item() > half[k].item();
        (axis == OverAxes::of(node.attrs())[0] ? along : others) |= grows;
      }
      if (along && !others && node.rank() > 1) return node;  // Of a vector there is no other axis.
    }
    return {};
  }

  /// What puts (n, 1) and (n) together, each of them of the n examples; empty where nothing does.
  Expr pairs_of_examples(std::size_t t) const {
    const std::int64_t n = batch_.examples;
    if (n < 2) return {};
    for (const Expr& node : searching::value_nodes(terms_[t].whole)) {
      if (node.inputs().size() != 2 || node.rank() != 2) continue;
      const bool first = node.inputs()[0].rank() == 2;
      const Expr &column = node.inputs()[first ? 0 : 1], &row = node.inputs()[first ? 1 : 0];
      if (column.rank() != 2 || row.rank() != 1 || !is_float(column.dtype()) ||
          !is_float(row.dtype()) || !reads_examples(column) || !reads_examples(row))
        continue;
      const Function run = function({.inputs = at_.inputs,
                                     .outputs = {size(column, 0), size(column, 1), size(row, 0)},
                                     .allow_unused_inputs = true});
      const auto are = [&](const std::vector<Tensor>& values, std::int64_t count) {
        const std::vector<Tensor> sizes = run(values);
        return sizes[0].item() == static_cast<double>(count) && sizes[1].item() == 1 &&
               sizes[2].item() == static_cast<double>(count);
      };
      if (are(at_.values, n) && are(searching::with_examples(at_, batch_, 0, n / 2), n / 2))
        return node;
    }
    return {};
  }

  void find_mixing() {
    const bool mixed = std::ranges::find(mixes_, true) != mixes_.end();
    const Expr softmax = mixed ? softmax_over_examples() : Expr();
    if (softmax.has_value()) {
      add(Finding::examples_mix, -1, {}, softmax->where,
          text("A ", softmax.op().name, " runs over the examples, axis ",
               OverAxes::of(softmax.attrs())[0], " of ",
               searching::formula_text(softmax.inputs()[0]),
               ": what is computed for one depends on the ",
               "others. Classes are the last axis: softmax(x), unless the examples are meant."));
    }
    for (std::size_t t = 0; t < terms_.size(); ++t) {
      if (softmax.has_value()) continue;
      // These need not mix at these values: |y - z| does not where all y are above all z.
      const Expr pairs = pairs_of_examples(t);
      if (pairs.has_value()) {
        add(Finding::examples_mix, static_cast<int>(t), {}, pairs->where,
            text(title(t), " puts a column of ", batch_.examples,
                 " examples, (n, 1), and a row of "
                 "them, (n), together to (n, n): each is compared with all others. Give both one "
                 "shape: squeeze(..., 1), or expand_dims(..., 1) where pairs are meant."));
        continue;
      }
      if (!mixed || !mixes_[t]) continue;
      note(Finding::examples_mix, static_cast<int>(t), {}, term(t).where,
           text(title(t),
                " is not made of what examples give apart: what one adds depends on the "
                "others, as with batch normalisation, the mean activity of a unit, or "
                "(n) against (n, 1). Right where that is meant."));
    }
  }

  void find_constructions() {
    const searching::Construction c{root(), depends_, at_.parameters,
                                    [this](const Expr& e) { return value_tensor(e); }};
    for (const auto search :
         {searching::counted_twice, searching::moving_targets, searching::selected_twice,
          searching::foreign_axes, searching::misplaced_epsilons, searching::hidden_nans,
          searching::slow_thresholds}) {
      for (const searching::Suspicion& s : search(c)) add(s.kind, -1, {}, s.where, s.text);
    }
  }

  /// Sums over probes, of which there are several for each example.
  void find_summed_draws() {
    for (std::size_t t = 0; t < terms_.size(); ++t) {
      const std::vector<double> sums = searching::summed_over(
          terms_[t].whole, depends_, [this](const Expr& e) { return value(e); });
      for (const Expr& node : searching::value_nodes(terms_[t].whole)) {
        const bool drawn = &node.op() == &random_uniform_op || &node.op() == &random_normal_op;
        if (!drawn || node.rank() < 3) continue;
        const Tensor count = value_tensor(size(node, 0));
        if (count.item() < 2 || count.item() == static_cast<double>(batch_.examples) ||
            std::ranges::find(sums, count.item()) == sums.end())
          continue;
        note(Finding::summed_draws, static_cast<int>(t), {}, term(t).where,
             text(title(t), " is a sum over ", number(count.item()),
                  " draws: it grows with their number. An estimate is their mean."));
        break;
      }
    }
  }

  /// Values that are given and not used, and one row where there are many examples.
  void find_inputs() {
    for (const Expr& variable : unused_) {
      add(Finding::unused_input, -1, {describe(variable)}, variable->where,
          text(describe(variable),
               " is given a value, and the cost does not depend on it: a weight that is asked for "
               "and never used, say. Use it, or leave it out."));
    }
    if (batch_.examples < 2) return;
    for (std::size_t k = at_.parameters.size(); k < at_.inputs.size(); ++k) {
      const Expr& original = at_.originals[k];
      const Tensor& given = at_.values[k];
      if (!is_variable(original) || original.rank() == 0 || original.dims()[0].known() ||
          given.shape()[0] != 1)
        continue;
      add(Finding::single_target, -1, {describe(original)}, original->where,
          text(describe(original), " has one row, ", text(given.shape()), ", for ", batch_.examples,
               " examples: each is compared with the same one. Give a row for each example."));
    }
  }

  /// Stored variables by which there is a gradient; not those that are read in parts, as data are.
  void find_left_out() {
    for (std::size_t k = at_.parameters.size(); k < at_.inputs.size(); ++k) {
      const Expr& input = at_.inputs[k];
      if (!is_shared(at_.originals[k]) || !is_float(input.dtype()) || is_read_in_parts(input))
        continue;
      const bool flows = std::ranges::any_of(terms_, [&](const searching::Term& t) {
        return searching::flow(t.whole, input, constant_set_, kinks_).flows;
      });
      if (!flows) continue;
      note(Finding::not_trained, -1, {describe(input)}, at_.originals[k]->where,
           text("The cost has a gradient by ", describe(input),
                ", which is not among the parameters: right where it is to stay."));
    }
  }

  bool is_read_in_parts(const Expr& input) const {
    return std::ranges::any_of(searching::value_nodes(root()), [&](const Expr& node) {
      const bool reads = &node.op() == &narrow_op || &node.op() == &take_op;
      return reads && node.inputs()[0] == input;
    });
  }

  const AuditOptions& options_;
  checking::Probe at_;
  std::vector<Expr> unused_;  ///< Variables with a value that the cost does not have.
  Expr stable_;               ///< The cost as it is differentiated.
  NodeMap<std::string> names_;
  std::vector<Expr> constants_;
  NodeSet constant_set_;
  NodeSet depends_, kinks_;
  std::vector<searching::Term> terms_;
  std::vector<searching::TermFlow> flows_;  ///< For each term, for each parameter.
  searching::Batch batch_;
  std::vector<bool> mixes_;  ///< Terms whose examples mix.
  AuditReport result_;
};

}  // namespace

bool AuditReport::has(Finding kind) const {
  return std::ranges::find(findings, kind, &AuditFinding::kind) != findings.end() ||
         std::ranges::find(notes, kind, &AuditFinding::kind) != notes.end();
}

AuditReport audit(const Arg& cost, const Parameters& parameters, const std::vector<Binding>& at,
                  const AuditOptions& options) {
  const Attribution as(cost.where());
  if (!is_float(cost->dtype()) || cost->rank() != 0) {
    refuse("audit", "the cost must be a float scalar\n  Take sum() or mean() of it.", cost);
  }
  if (parameters.all().empty()) refuse("audit", "no parameters are given", cost);
  return Auditor(cost, parameters, at, options).run();
}

}  // namespace cinch

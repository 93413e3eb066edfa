#include "cinch/core/rewrite/rewrite.hpp"

#include <algorithm>

#include "cinch/core/graph/leaves.hpp"

namespace cinch::rewriting {

namespace {

constexpr std::int64_t largest_folded = 1024;  // Elements; more would only cost memory.

Type wildcard_type(Args, const Attrs&) { throw TypeError("a wildcard stands in patterns only"); }

bool same_attrs(const Expr& a, const Expr& b) {
  return a->attrs == b->attrs || a.attrs() == b.attrs();
}

struct NodeHash {
  std::size_t operator()(const Expr& e) const {
    std::size_t h = std::hash<const void*>()(&e.op());
    const auto mix = [&](std::size_t v) { h = (h ^ v) * 0x9E3779B97F4A7C15u + (h >> 29); };
    if (e.op().commutative && e.inputs().size() == 2) {
      const std::hash<const void*> hash;
      mix(hash(e.inputs()[0].get()) + hash(e.inputs()[1].get()));
    } else {
      for (const Expr& input : e.inputs()) mix(std::hash<const void*>()(input.get()));
    }
    const Attrs& attrs = e.attrs();
    for (const std::int64_t v : attrs.ints) mix(static_cast<std::size_t>(v));
    mix(static_cast<std::size_t>(attrs.dtype));
    mix(attrs.id);
    mix(std::hash<const void*>()(attrs.state.get()));
    if (attrs.value && attrs.value->size() > 0) mix(std::hash<double>()(attrs.value->at(0)));
    return h;
  }
};

struct SameNode {
  bool operator()(const Expr& a, const Expr& b) const {
    if (&a.op() != &b.op() || a.type().weak != b.type().weak || !same_attrs(a, b)) return false;
    const bool swapped = a.op().commutative && a.inputs().size() == 2 && b.inputs().size() == 2 &&
                         a.inputs()[0] == b.inputs()[1] && a.inputs()[1] == b.inputs()[0];
    return swapped || std::ranges::equal(a.inputs(), b.inputs());
  }
};

using Bindings = std::vector<std::pair<const Node*, Expr>>;

const Op wildcard_op{.name = "wildcard", .type = wildcard_type};

bool match(const Expr& pattern, const Expr& expr, Bindings& bound) {
  if (&pattern.op() == &wildcard_op) {
    for (const auto& [node, value] : bound) {
      if (node == pattern.get()) return value == expr;
    }
    bound.emplace_back(pattern.get(), expr);
    return true;
  }
  if (const Tensor* value = constant_value(pattern))
    return graphs::is_constant(expr, value->item());
  if (&pattern.op() != &expr.op() || !same_attrs(pattern, expr) ||
      pattern.inputs().size() != expr.inputs().size()) {
    return false;
  }
  const std::size_t count = pattern.inputs().size();
  const std::size_t before = bound.size();
  const auto attempt = [&](bool swapped) {
    for (std::size_t i = 0; i < count; ++i) {
      if (!match(pattern.inputs()[i], expr.inputs()[swapped ? count - 1 - i : i], bound)) {
        bound.resize(before);
        return false;
      }
    }
    return true;
  };
  return attempt(false) || (pattern.op().commutative && count == 2 && attempt(true));
}

Expr instantiate(const Expr& pattern, const Bindings& bound) {
  for (const auto& [node, value] : bound) {
    if (node == pattern.get()) return value;
  }
  if (const Tensor* value = constant_value(pattern)) return weak_constant(*value);
  std::vector<Expr> inputs;
  for (const Expr& input : pattern.inputs()) inputs.push_back(instantiate(input, bound));
  return apply(pattern.op(), std::move(inputs), pattern.attrs());
}

void collect_wildcards(const Expr& pattern, NodeSet& found) {
  if (&pattern.op() == &wildcard_op) found.insert(pattern.get());
  for (const Expr& input : pattern.inputs()) collect_wildcards(input, found);
}

bool same_wildcards(const Rule& rule) {
  NodeSet left, right;
  collect_wildcards(rule.left, left);
  collect_wildcards(rule.right, right);
  return left == right;
}

class Rewriter {
 public:
  explicit Rewriter(const RewriteOptions& options) : options_(options) {}

  /// The canonical form of `root`; equal expressions give the same node. Neither the graph's depth
  /// nor a long series of rewrites costs stack.
  Expr operator()(const Expr& root) {
    struct Visit {
      Expr node;
      std::size_t next = 0;
      Expr kept, better;  // Once visited: the node on canonical inputs, and what a rule made of it.
    };
    std::vector<Visit> path;
    if (!done_.contains(root.get())) path.push_back({root, 0, {}, {}});
    while (!path.empty()) {
      Visit& visit = path.back();
      if (visit.better.has_value()) {
        const Expr result = done_.at(visit.better.get());
        record(visit.kept, result);
        record(visit.node, result);
        path.pop_back();
      } else if (done_.contains(visit.node.get())) {
        path.pop_back();
      } else if (visit.next < visit.node.inputs().size()) {
        const Expr input = visit.node.inputs()[visit.next++];
        if (!done_.contains(input.get())) path.push_back({input, 0, {}, {}});
      } else {
        visit.kept = canonical(visit.node);
        const auto known = done_.find(visit.kept.get());
        if (known != done_.end()) {
          record(visit.node, Expr(known->second));
          path.pop_back();
          continue;
        }
        const bool settled = options_.settled && options_.settled->contains(visit.kept);
        if (!settled) visit.better = improved(visit.kept);
        if (!visit.better.has_value()) {
          if (options_.settled) options_.settled->insert(visit.kept);
          record(visit.kept, visit.kept);
          record(visit.node, visit.kept);
          path.pop_back();
        } else if (!done_.contains(visit.better.get())) {
          const Expr better = visit.better;
          path.push_back({better, 0, {}, {}});
        }
      }
    }
    return done_.at(root.get());
  }

 private:
  void record(const Expr& from, const Expr& to) {
    alive_.push_back(from);  // Addresses are keys: none may be used again.
    done_[from.get()] = to;
  }

  /// `node` on its inputs' canonical forms, which are known; the node that stands for all equal
  /// ones.
  Expr canonical(const Expr& node) {
    std::vector<Expr> inputs;
    inputs.reserve(node.inputs().size());
    for (const Expr& input : node.inputs()) inputs.push_back(done_.at(input.get()));
    return *interned_.insert(with_inputs(node, std::move(inputs))).first;
  }

  Expr improved(const Expr& node) {
    if (graphs::is_leaf(node)) return {};
    const Attribution as(node->where, /*force=*/true);
    if (options_.fold_constants) {
      if (const Expr folded = fold(node); folded.has_value()) return folded;
    }
    if (node.op().simplify) {
      const Expr simpler = node.op().simplify(node);
      if (const Expr result = accepted(node, simpler, node.op().name, true); result.has_value())
        return result;
    }
    if (node.op().rules) {
      for (const Rule& rule : node.op().rules()) {
        const Expr right = apply_rule(rule, node);
        if (!right.has_value()) continue;
        if (const Expr simpler = accepted(node, right, rule.name, same_wildcards(rule));
            simpler.has_value()) {
          return simpler;
        }
      }
    }
    return {};
  }

  /// `result` in place of `node`, if it surely has the same type. Sizes that neither side knows are
  /// the same where the same operands broadcast on both sides.
  Expr accepted(const Expr& node, Expr result, std::string_view rule, bool same_operands) {
    if (!result.has_value() || result == node) return {};
    if (result.dtype() != node.dtype() || (result.type().weak && !node.type().weak)) {
      result = cast(result, node.dtype());
    }
    const bool same_sizes = std::ranges::equal(result.dims(), node.dims(), [&](Dim a, Dim b) {
      return a == b || (same_operands && !a.known() && !b.known());
    });
    if (!same_sizes) return {};
    if (options_.log)
      options_.log->push_back({rule, node->where, describe(node), describe(result)});
    return result;
  }

  static Expr fold(const Expr& node) {
    if (!node.op().reference || node.op().observes || !node.type().is_static()) return {};
    std::vector<const Tensor*> values;
    for (const Expr& input : node.inputs()) {
      const Tensor* value = constant_value(input);
      if (!value) return {};
      values.push_back(value);
    }
    if (element_count(node.type().shape()) > largest_folded) return {};
    try {
      Tensor value = node.op().reference(values, node.attrs());
      return node.type().weak ? weak_constant(std::move(value), node->where)
                              : constant(std::move(value), node->where);
    } catch (const ValueError&) {
      return {};  // Running it says which op this is, and where.
    }
  }

  const RewriteOptions& options_;
  NodeMap<Expr> done_;
  std::vector<Expr> alive_;
  std::unordered_set<Expr, NodeHash, SameNode> interned_;
};

}  // namespace

Expr wildcard(std::string label) {
  return Expr(
      std::make_shared<const Node>(wildcard_op, std::vector<Expr>{},
                                   std::make_shared<const Attrs>(Attrs{.label = std::move(label)}),
                                   Type{DType::float64, {}}, Source{}));
}

Expr apply_rule(const Rule& rule, const Expr& expr) {
  Bindings bound;
  if (!match(rule.left, expr, bound)) return {};
  return instantiate(rule.right, bound);
}

std::vector<Expr> rewrite(std::span<const Expr> roots, const RewriteOptions& options) {
  Rewriter rewriter(options);
  std::vector<Expr> result;
  for (const Expr& root : roots) result.push_back(root.has_value() ? rewriter(root) : Expr());
  return result;
}

}  // namespace cinch::rewriting

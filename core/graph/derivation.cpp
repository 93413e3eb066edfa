#include "cinch/core/graph/derivation.hpp"

#include <algorithm>

#include "cinch/core/graph/leaves.hpp"

namespace cinch::graphs {

Expr derived(const Expr& result, Derivation how) {
  const Node& n = *result;
  auto node = std::make_shared<Node>(*n.op, n.inputs, n.attrs, n.type, n.where);
  node->derivation = std::make_shared<const Derivation>(std::move(how));
  return Expr(std::move(node));
}

std::vector<Expr> replaced(std::span<const Expr> roots, const Substitutions& replacements) {
  NodeMap<Expr> done;
  NodeSet cut;
  for (const auto& [from, to] : replacements) {
    done[from.get()] = to;
    cut.insert(from.get());
  }
  for (const Expr& node : topological(roots, cut)) {
    if (done.contains(node.get())) continue;
    std::vector<Expr> inputs;
    inputs.reserve(node.inputs().size());
    for (const Expr& input : node.inputs()) inputs.push_back(done.at(input.get()));
    Expr changed = with_inputs(node, std::move(inputs));
    if (const auto& how = node->derivation; how && !(changed == node)) {
      std::vector<Expr> whole = how->whole;
      for (const auto& replacement : replacements) whole.push_back(replacement.first);
      const auto again = [how, replacements, known = whole](std::vector<Expr> more) {
        more.insert(more.end(), known.begin(), known.end());
        const Expr before = how->again(more);
        return replaced(std::span(&before, 1), replacements).front();
      };
      changed = derived(changed, {how->of, std::move(whole), again});
    }
    done[node.get()] = std::move(changed);
  }
  std::vector<Expr> result;
  for (const Expr& root : roots) result.push_back(root.has_value() ? done.at(root.get()) : Expr());
  return result;
}

namespace {

/// Nodes that depend on `target`, also by the formulas that derivatives among them are of.
NodeSet dependents(std::span<const Expr> roots, const Expr& target) {
  const auto edge = [](const Expr& node, std::size_t k) {
    const std::size_t inputs = node.inputs().size();
    return k < inputs ? &node.inputs()[k] : &node->derivation->of[k - inputs];
  };
  NodeSet result, seen;
  std::vector<std::pair<Expr, std::size_t>> path;
  const auto visit = [&](const Expr& node) {
    if (seen.insert(node.get()).second) path.emplace_back(node, 0);
  };
  for (const Expr& root : roots) {
    visit(root);
    while (!path.empty()) {
      auto& [node, next] = path.back();
      const std::size_t edges =
          node.inputs().size() + (node->derivation ? node->derivation->of.size() : 0);
      if (next < edges) {
        visit(*edge(node, next++));
        continue;
      }
      bool depends = node == target;
      for (std::size_t k = 0; k < edges && !depends; ++k)
        depends = result.contains(edge(node, k)->get());
      if (depends) result.insert(node.get());
      path.pop_back();
    }
  }
  return result;
}

/// Derivatives that are made again while it lives, on this thread: one that many others were made
/// of is made once.
class Remaking {
 public:
  Remaking() : outer_(current) {
    if (!outer_) current = this;
  }
  ~Remaking() { current = outer_; }
  Remaking(const Remaking&) = delete;
  Remaking& operator=(const Remaking&) = delete;

  /// The derivative `node` in which `missing` are whole too.
  static Expr with(const Expr& node, const std::vector<Expr>& missing) {
    for (const auto& [shown, result] : current->known_[node.get()]) {
      if (shown == missing) return result;
    }
    std::vector<Expr> whole = node->derivation->whole;
    whole.insert(whole.end(), missing.begin(), missing.end());
    Expr result = node->derivation->again(whole);
    current->known_[node.get()].emplace_back(missing, result);
    current->alive_.push_back(node);  // Addresses are keys: none may be used again.
    return result;
  }

 private:
  static thread_local Remaking* current;

  Remaking* outer_;
  NodeMap<std::vector<std::pair<std::vector<Expr>, Expr>>> known_;
  std::vector<Expr> alive_;
};
thread_local Remaking* Remaking::current = nullptr;

}  // namespace

std::vector<Expr> showing(std::span<const Expr> roots, std::span<const Expr> nodes) {
  std::vector<Expr> inner;
  std::ranges::copy_if(nodes, std::back_inserter(inner),
                       [](const Expr& node) { return node.has_value() && !stays_itself(node); });
  NodeSet cut;  // What is asked for is not entered: it stays itself.
  for (const Expr& node : inner) cut.insert(node.get());
  std::vector<Expr> derivatives;
  if (!inner.empty()) {
    for (const Expr& node : topological(roots, cut)) {
      if (node->derivation && !cut.contains(node.get())) derivatives.push_back(node);
    }
  }
  if (derivatives.empty()) return {roots.begin(), roots.end()};
  std::vector<NodeSet> depending;
  for (const Expr& node : inner) depending.push_back(dependents(roots, node));
  std::vector<std::pair<Expr, std::vector<Expr>>> lacking;
  for (const Expr& derivative : derivatives) {
    const Derivation& how = *derivative->derivation;
    std::vector<Expr> missing;
    for (std::size_t k = 0; k < inner.size(); ++k) {
      const bool mentioned = std::ranges::any_of(
          how.of, [&](const Expr& e) { return depending[k].contains(e.get()); });
      if (mentioned && std::ranges::find(how.whole, inner[k]) == how.whole.end())
        missing.push_back(inner[k]);
    }
    if (missing.empty()) continue;
    cut.insert(derivative.get());
    lacking.emplace_back(derivative, std::move(missing));
  }
  NodeSet reached;  // What is only under another of them is made with that one.
  for (const Expr& node : topological(roots, cut)) reached.insert(node.get());
  const Remaking remaking;
  Substitutions replacements;
  for (const Expr& node : inner) replacements.emplace_back(node, node);
  for (const auto& [derivative, missing] : lacking) {
    if (reached.contains(derivative.get()))
      replacements.emplace_back(derivative, Remaking::with(derivative, missing));
  }
  return replaced(roots, replacements);
}

Expr showing(const Expr& root, const Expr& node) {
  return showing(std::span(&root, 1), std::span(&node, 1)).front();
}

}  // namespace cinch::graphs

#include "cinch/core/graph.hpp"

#include <algorithm>
#include <ostream>

#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/naming.hpp"
#include "cinch/core/op.hpp"

namespace cinch {

std::vector<Expr> topological(std::span<const Expr> roots, const NodeSet& cut) {
  std::vector<Expr> order;
  NodeSet seen;
  std::vector<std::pair<Expr, std::size_t>>
      path;  // A node and how many of its inputs have been visited.
  for (const Expr& root : roots) {
    if (!root.has_value() || !seen.insert(root.get()).second) continue;
    path.emplace_back(root, 0);
    while (!path.empty()) {
      auto& [node, next] = path.back();
      if (cut.contains(node.get()) || next == node.inputs().size()) {
        order.push_back(std::move(node));
        path.pop_back();
        continue;
      }
      const Expr& input = node.inputs()[next++];
      if (seen.insert(input.get()).second) path.emplace_back(input, 0);
    }
  }
  return order;
}

std::vector<Expr> rebuild(std::span<const Expr> roots, const std::function<Expr(const Expr&)>& f,
                          NodeMap<Expr>& done) {
  NodeSet cut;
  for (const auto& [node, result] : done) cut.insert(node);
  for (const Expr& node : topological(roots, cut)) {
    if (done.contains(node.get())) continue;
    std::vector<Expr> inputs;
    inputs.reserve(node.inputs().size());
    for (const Expr& input : node.inputs()) inputs.push_back(done.at(input.get()));
    done[node.get()] = f(with_inputs(node, std::move(inputs)));
  }
  std::vector<Expr> result;
  for (const Expr& root : roots) result.push_back(root.has_value() ? done.at(root.get()) : Expr());
  return result;
}

std::vector<Expr> rebuild(std::span<const Expr> roots, NodeMap<Expr>& done) {
  return rebuild(
      roots, [](const Expr& e) { return e; }, done);
}

std::vector<Expr> substitute(std::span<const Expr> roots, const Substitutions& replacements) {
  std::vector<Expr> from;
  for (const auto& replacement : replacements) {
    from.push_back(replacement.first);
    from.back().type();  // Both must have a value.
    replacement.second.type();
  }
  return graphs::replaced(graphs::showing(roots, from), replacements);
}

std::string_view graphs::op_name_of(const Expr& node) {
  const std::string& label = node.attrs().label;
  return label.empty() || node.inputs().empty() ? node.op().name : std::string_view(label);
}

namespace {

std::string formula(const Expr& expr, int depth) {
  const Attrs& attrs = expr.attrs();
  // What checks an operand for a function shows as that operand.
  if (!attrs.label.empty())
    return expr.inputs().empty() ? attrs.label : formula(expr.inputs()[0], depth);
  if (const Tensor* value = constant_value(expr)) {
    return value->size() == 1 ? text(value->at(0)) : "constant";
  }
  if (expr.inputs().empty()) return std::string(expr.op().name);
  if (depth == 0) return "...";
  std::string result = std::string(expr.op().name) + "(";
  for (std::size_t i = 0; i < expr.inputs().size(); ++i) {
    result += (i ? ", " : "") + formula(expr.inputs()[i], depth - 1);
  }
  for (const std::int64_t value : attrs.ints) result += ", " + std::to_string(value);
  return result + ")";
}

}  // namespace

std::string describe(const Expr& expr, int depth) {
  constexpr std::size_t longest = 60;
  std::string result = formula(expr, depth);
  while (depth > 1 && result.size() > longest) result = formula(expr, --depth);
  // A name is not cut: it is the user's, and says which variable is meant.
  if (result.size() <= longest || expr.inputs().empty()) return result;
  return result.substr(0, longest - 3) + "...";
}

std::ostream& operator<<(std::ostream& out, const Expr& expr) {
  return out << (expr.has_value() ? describe(expr) : "empty expression");
}

namespace {
std::string line_of(const Expr& e) { return e->where.line ? "  " + e->where.text() : ""; }

std::string head(const Expr& e) {
  return e.inputs().empty() ? describe(e) : std::string(e.op().name);
}
}  // namespace

std::string graph_text(std::span<const Expr> roots) {
  // Numbers by first appearance from the roots down, so that the text reads like the formula.
  std::string result;
  NodeMap<int> number;
  std::vector<std::pair<Expr, int>> pending;
  for (auto root = roots.rbegin(); root != roots.rend(); ++root) pending.emplace_back(*root, 0);
  while (!pending.empty()) {
    const auto [node, depth] = pending.back();
    pending.pop_back();
    // Deep chains would print quadratically many blanks.
    result += std::string(static_cast<std::size_t>(2 * std::min(depth, 40)), ' ');
    const auto [entry, fresh] = number.emplace(node.get(), static_cast<int>(number.size()));
    result += "#" + std::to_string(entry->second) + " ";
    if (!fresh) {
      result += "(above)\n";
      continue;
    }
    result += head(node);
    for (const std::int64_t value : node.attrs().ints) result += " " + std::to_string(value);
    result += "  " + text(node.type()) + line_of(node) + "\n";
    for (auto input = node.inputs().rbegin(); input != node.inputs().rend(); ++input) {
      pending.emplace_back(*input, depth + 1);
    }
  }
  return result;
}

std::string graph_dot(std::span<const Expr> roots) {
  std::string result = "digraph cinch {\n  node [shape=box, fontname=\"sans\"];\n";
  NodeMap<std::size_t> number;
  const auto quoted = [](const std::string& s) {
    std::string out;
    for (const char c : s) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    return out;
  };
  for (const Expr& root : roots) root.type();  // An empty one would go unnoticed.
  for (const Expr& node : topological(roots)) {
    const std::size_t id = number.emplace(node.get(), number.size()).first->second;
    const bool leaf = node.inputs().empty();
    const bool root = std::ranges::find(roots, node) != roots.end();
    result += text("  n", id, " [label=\"", quoted(head(node)), "\\n", text(node.type()), "\\n",
                   quoted(line_of(node)), "\"", leaf ? ", style=filled, fillcolor=lightblue" : "",
                   root ? ", peripheries=2" : "", "];\n");
    for (const Expr& input : node.inputs())
      result += text("  n", number.at(input.get()), " -> n", id, ";\n");
  }
  return result + "}\n";
}

}  // namespace cinch

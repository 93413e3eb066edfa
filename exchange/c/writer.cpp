#include "cinch/exchange/c/writer.hpp"

#include <algorithm>

#include "cinch/core/graph/leaves.hpp"
#include "cinch/exchange/c/emitter.hpp"
#include "cinch/io/file.hpp"
#include "cinch/ops/random.hpp"

namespace cinch {

namespace {

using exchange::Named;

const char* drawn(const CParameter& draw) {
  return &draw.value.op() == &random_normal_op ? "draws from the standard normal distribution"
                                               : "draws, uniform in [0, 1)";
}

CParameter parameter_of(const Named& named) {
  return {named.name, named.value.type(), named.value};
}

/// A declaration of a parameter; scalars that are only read come by value.
std::string declared(const CParameter& p, bool changes, bool by_value) {
  const std::string type = exchange::c_type(p.type.dtype);
  if (by_value && p.type.rank() == 0) return type + " " + p.name;
  return (changes ? "" : "const ") + type + " *" + p.name;
}

std::string copied(const std::string& to, const std::string& from, const Type& type) {
  return "  memcpy(" + to + ", " + from + ", " + exchange::number(exchange::bytes_of(type)) +
         ");\n";
}

}  // namespace

exchange::CSource exchange::c_source(const std::string& file, const FunctionSpec& spec,
                                     const COptions& options) {
  const exchange::Lowered graph =
      exchange::lowered("write_c", spec, {.sizes = options.sizes, .outputs = options.outputs});
  exchange::require_counterparts("write_c", graph.order, "C", exchange::has_c_counterpart);
  exchange::Emitter emitter(graph);
  emitter.emit();

  CInterface result;
  result.name = graph.name;
  for (const Named& x : graph.inputs) result.inputs.push_back(parameter_of(x));
  for (const exchange::Draw& draw : graph.draws)
    result.draws.push_back({draw.name, draw.variable.type(), draw.drawn});
  for (const Named& p : graph.parameters) result.parameters.push_back(parameter_of(p));
  for (const Named& p : graph.constants) result.constants.push_back(parameter_of(p));
  for (const Named& y : graph.outputs) result.outputs.push_back(parameter_of(y));
  result.memory = std::max<std::int64_t>(emitter.bytes(), 64);

  std::string list, documented, renamed;
  const auto add = [&](const std::vector<CParameter>& all, const char* what, bool changes,
                       bool by_value, bool is_output = false) {
    for (const CParameter& p : all) {
      list += (list.empty() ? "" : ", ") + declared(p, changes, by_value);
      const bool value = by_value && p.type.rank() == 0;
      if (!is_output)
        renamed += "  " + std::string(changes ? "" : "const ") + exchange::c_type(p.type.dtype) +
                   (value ? " " : " *const ") + "u_" + p.name + " = " + p.name + ";\n  (void)u_" +
                   p.name + ";\n";
      documented += "   " + p.name + ": " + (*what ? what : drawn(p)) + ", " + text(p.type) + "\n";
    }
  };
  add(result.inputs, "input", false, true);
  add(result.draws, "", false, true);
  add(result.parameters, "parameter, changed", true, false);
  add(result.constants, "parameter, read", false, false);
  add(result.outputs, "output", true, false, /*is_output=*/true);
  const std::string signature =
      "int " + graph.name + "(" + list + (list.empty() ? "" : ", ") + "void *memory)";

  std::string ends;
  for (const Named& y : graph.outputs) {
    if (exchange::is_value(y.value)) {
      ends += "  " + y.name + "[0] = " + emitter.value(y.value) + ";\n";
    } else {
      ends += copied(y.name, emitter.pointer(y.value), y.value.type());
    }
  }
  // A new value that is another parameter is that one's old value.
  std::string before, late;
  std::int64_t bytes = result.memory;
  for (std::size_t k = 0; k < graph.updates.size(); ++k) {
    const Expr& value = graph.updates[k].value;
    const std::string& name = graph.parameters[k].name;
    if (exchange::is_value(value)) {
      late += "  " + name + "[0] = " + emitter.value(value) + ";\n";
    } else if (is_shared(value)) {
      const std::string place = "bytes + " + std::to_string(bytes);
      bytes += (exchange::bytes_of(value.type()) + 63) / 64 * 64;
      before += copied(place, emitter.pointer(value), value.type());
      late += copied(name, place, value.type());
    } else {
      late += copied(name, emitter.pointer(value), value.type());
    }
  }
  result.memory = bytes;

  const std::string header = file + ".h";
  const std::string guard = graph.name + "_H_";
  const std::string size = std::to_string(result.memory);
  const std::string head =
      "/* Written by Cinch. Returns 0, or 1 where an index is out of range, or a\n"
      "   fixed point is not found: then nothing has changed. memory: " +
      graph.name + "_MEMORY bytes, aligned as malloc() aligns.\n" + documented + "*/\n#ifndef " +
      guard + "\n#define " + guard +
      "\n\n#include <stdint.h>\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n#define " +
      graph.name + "_MEMORY " + size + "\n\n" + signature +
      ";\n\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
  const std::string body =
      "/* Written by Cinch: see the header. C99, and nothing but the C library. */\n"
      "#include \"" +
      header + "\"\n\n#include <math.h>\n#include <stdint.h>\n#include <string.h>\n\n" +
      emitter.functions() + emitter.tables() + "\n" + signature +
      " {\n  unsigned char *const bytes = (unsigned char *)memory;\n"
      "  (void)bytes;\n" +
      renamed + emitter.statements() + "\n" + before + ends + late + "  return 0;\n}\n";
  return {std::move(result), head, body};
}

CInterface write_c(const std::string& path, const FunctionSpec& spec, const COptions& options) {
  if (!path.ends_with(".c") || path.size() < 3)
    throw FileError("write_c: the file must be named like step.c, not " + printable(path));
  const std::string stem = path.substr(0, path.size() - 2);
  exchange::CSource source =
      exchange::c_source(stem.substr(stem.find_last_of('/') + 1), spec, options);
  replace_file(stem + ".h", source.header);
  replace_file(path, source.body);
  return std::move(source.interface);
}

}  // namespace cinch

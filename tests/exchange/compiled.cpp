#include "exchange/compiled.hpp"

#include <dlfcn.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

namespace cinch::testing {

namespace {

std::string c_type_of(DType dtype) {
  return dtype == DType::float64   ? "double"
         : dtype == DType::float32 ? "float"
         : dtype == DType::int64   ? "int64_t"
                                   : "unsigned char";
}

/// A function that takes an array of addresses, for the test to call.
std::string wrapper(const CInterface& f) {
  std::string list;
  int k = 0;
  for (const auto* all : {&f.inputs, &f.draws, &f.parameters, &f.constants, &f.outputs}) {
    for (const CParameter& p : *all) {
      const bool by_value = (all == &f.inputs || all == &f.draws) && p.type.rank() == 0;
      list += std::string(by_value ? "*" : "") + "(" + c_type_of(p.type.dtype) + " *)p[" +
              std::to_string(k++) + "], ";
    }
  }
  return "int run_" + f.name + "(void **p);\nint run_" + f.name + "(void **p) { return " + f.name +
         "(" + list + "p[" + std::to_string(k) + "]); }\n";
}

}  // namespace

Compiled::Compiled(const TemporaryFolder& folder, const std::vector<CInterface>& functions,
                   const std::string& options) {
  std::string sources, wrappers = "#include <stdint.h>\n";
  for (const CInterface& f : functions) {
    sources += " " + (folder / (f.name + ".c"));
    wrappers += "#include \"" + f.name + ".h\"\n" + wrapper(f);
  }
  std::ofstream(folder / "wrappers.c") << wrappers;
  sources += " " + (folder / "wrappers.c");
  // -Bsymbolic: the C library has functions of its own, as step().
  const std::string library = folder / "all.so", all = " -std=c99 -Wall -Wextra -Werror " + options;
  REQUIRE(
      std::system(("gcc -fPIC -shared -Wl,-Bsymbolic" + all + sources + " -o " + library + " -lm")
                      .c_str()) == 0);
  if (std::system("command -v clang > /dev/null") == 0) {
    CHECK(std::system(("clang -fsyntax-only" + all + sources).c_str()) == 0);
  } else {
    MESSAGE("clang is not installed: the files are compiled by gcc only");
  }
  loaded_ = dlopen(library.c_str(), RTLD_NOW);
  REQUIRE(loaded_ != nullptr);
}

Compiled::~Compiled() { dlclose(loaded_); }

int Compiled::run(const CInterface& f, std::vector<Tensor>& inputs, std::vector<Tensor>& draws,
                  std::vector<Tensor>& parameters, std::vector<Tensor>& constants,
                  std::vector<Tensor>& outputs) const {
  auto* const call = reinterpret_cast<int (*)(void**)>(dlsym(loaded_, ("run_" + f.name).c_str()));
  REQUIRE(static_cast<bool>(call));
  std::vector<double> memory(static_cast<std::size_t>(f.memory / 8 + 1));
  std::vector<void*> p;
  for (std::vector<Tensor>* all : {&inputs, &draws, &parameters, &constants, &outputs}) {
    for (Tensor& one : *all) p.push_back(one.raw());
  }
  p.push_back(memory.data());
  return call(p.data());
}

}  // namespace cinch::testing

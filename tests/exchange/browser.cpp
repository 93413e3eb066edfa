// The model of docs/manual/browser.md, and its training in a browser.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "cinch/cinch.hpp"
#include "cinch/exchange/onnx/writer.hpp"
#include "exchange/onnx_runs.hpp"

using namespace cinch;

namespace {

std::string base64(const std::string& bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  for (std::size_t k = 0; k < bytes.size(); k += 3) {
    std::uint32_t three = 0;
    for (std::size_t j = 0; j < 3; ++j)
      three = three << 8 |
              (k + j < bytes.size() ? static_cast<unsigned char>(bytes[k + j]) : std::uint32_t{0});
    for (std::size_t j = 0; j < 4; ++j)
      result += k + j < bytes.size() + 1 ? digits[three >> (18 - 6 * j) & 63] : '=';
  }
  return result;
}

std::string read(const std::string& path) {
  std::ostringstream all;
  all << std::ifstream(path).rdbuf();
  return all.str();
}

/// As docs/manual/browser.md has it, without lines, which are this file's.
std::string model() {
  const Shared W(Tensor(DType::float32, {784, 100}), "W");
  const Shared b(Tensor(DType::float32, {100}), "b"), c(Tensor(DType::float32, {784}), "c");
  const Expr x = matrix("x"), weight = scalar("weight");
  const Expr h = sigmoid(dot(x, W) + b), z = sigmoid(dot(h, transpose(W)) + c);
  const Expr loss = -sum(x * log(z) + (1 - x) * log(1 - z), 1);
  const Expr penalty = sum(square(jacobian(h, x)), {1, 2});
  const Expr cost = mean(loss + weight * penalty);
  return exchange::onnx_model({.inputs = {x, weight},
                               .outputs = {cost, mean(loss)},
                               .updates = sgd(cost, {W, b, c}, 0.1),
                               .name = "contractive"},
                              {.outputs = {"cost", "loss"}, .lines = false})
      .bytes;
}

}  // namespace

TEST_CASE("docs/manual/contractive_model.js is the model of its page") {
  const std::string all = base64(model());
  std::string text =
      "// The model of browser.md. Written by `scripts/tables`; do not edit.\n"
      "const cinch_contractive_model =\n";
  for (std::size_t k = 0; k < all.size(); k += 100)
    text += "    '" + all.substr(k, 100) + (k + 100 < all.size() ? "' +\n" : "';\n");
  if (const char* docs = std::getenv("CINCH_TABLES"))
    std::ofstream(std::string(docs) + "/manual/contractive_model.js") << text;
    // Operators are numbered in the order in which the compiler evaluates operands.
#if defined(__GNUC__) && !defined(__clang__)
  CHECK_MESSAGE(read(CINCH_SOURCE_DIR "/docs/manual/contractive_model.js") == text,
                "docs/manual/contractive_model.js is not up to date: run scripts/tables");
#endif
}

TEST_CASE("the page docs/manual/browser.md trains in a browser") {
  const testing::TemporaryFolder folder;
  if (std::system("command -v chromium > /dev/null") != 0) {
    MESSAGE("chromium is not installed: the page is not opened");
    return;
  }
  const std::string modules = testing::node_modules(folder);
  if (modules.empty()) return;
  const int status =
      std::system((CINCH_SOURCE_DIR "/tests/exchange/browser.sh " CINCH_SOURCE_DIR " " + modules +
                   " " + folder.path())
                      .c_str());
  CHECK(WEXITSTATUS(status) == 0);
  MESSAGE(read(folder / "state"));
}

// Networks read from ONNX files: what they compute, and files that are damaged.
#include "cinch/exchange/read_onnx.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <random>
#include <sstream>

#include "cinch/cinch.hpp"
#include "cinch/exchange/onnx/graph.hpp"
#include "cinch/exchange/onnx/protobuf.hpp"
#include "cinch/exchange/onnx/writer.hpp"
#include "exchange/onnx_runs.hpp"
#include "io/temporary_folder.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using exchange::Message;

namespace {

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// A model put together by hand, as another framework would write it.
class Model {
 public:
  explicit Model(std::int64_t opset = 17) : opset_(opset) {}

  void input(const std::string& name, std::int64_t dtype, const Shape& sizes) {
    Message shape;
    for (const std::int64_t n : sizes) {
      Message dim;
      n < 0 ? dim.text(2, "N") : dim.number(1, n);
      shape.message(1, dim);
    }
    graph_.message(11, Message().text(1, name).message(
                           2, Message().message(1, Message().number(1, dtype).message(2, shape))));
  }
  void tensor(const std::string& name, const Tensor& value) {
    Message tensor;
    tensor.numbers(1, value.shape()).number(2, exchange::onnx_type(value.dtype())).text(8, name);
    const auto bytes = static_cast<std::size_t>(value.size()) * size_of(value.dtype());
    graph_.message(5, tensor.text(9, {static_cast<const char*>(value.raw()), bytes}));
  }
  void node(const std::string& op, const std::vector<std::string>& inputs,
            const std::string& output, const std::vector<exchange::Attribute>& attributes = {}) {
    Message node;
    for (const std::string& input : inputs) node.text(1, input);
    node.text(2, output).text(3, op + "_" + output).text(4, op);
    for (const exchange::Attribute& a : attributes) {
      Message attribute;
      attribute.text(1, a.name);
      if (const auto* one = std::get_if<std::int64_t>(&a.value)) {
        attribute.number(3, *one).number(20, 2);
      } else {
        attribute.numbers(8, std::get<std::vector<std::int64_t>>(a.value)).number(20, 7);
      }
      node.message(5, attribute);
    }
    graph_.message(1, node);
  }
  std::string bytes(const std::string& output) const {
    Message graph = graph_;
    Message shape, type, value;
    const Message any;
    shape.message(1, any).message(1, any);  // Of two axes, as where it is checked.
    type.message(1, Message().number(1, 1).message(2, shape));
    value.text(1, output).message(2, type);
    graph.text(2, "network").message(12, value);
    return Message()
        .number(1, 8)
        .message(7, graph)
        .message(8, Message().text(1, "").number(2, opset_))
        .bytes();
  }

 private:
  std::int64_t opset_;
  Message graph_;
};

using Ints = std::vector<std::int64_t>;

/// A small convolutional classifier.
struct Classifier {
  RandomState random{1};
  Tensor draw(const Shape& shape, double low = -1, double high = 1) {
    return random.uniform(low, high, shape, DType::float32);
  }
  Tensor w = draw({3, 1, 3, 3}), b = draw({3}), scale = draw({3}), shift = draw({3}),
         mean = draw({3}), variance = draw({3}, 0.5, 2), W = draw({5, 12}), c = draw({5});

  std::string bytes() const {
    Model m;
    m.input("image", 1, {-1, 1, 4, 4});
    m.tensor("w", w);
    m.tensor("b", b);
    m.tensor("scale", scale);
    m.tensor("shift", shift);
    m.tensor("mean", mean);
    m.tensor("variance", variance);
    m.tensor("W", W);
    m.tensor("c", c);
    m.node("Conv", {"image", "w", "b"}, "y", {{"pads", Ints{1, 1, 1, 1}}});
    m.node("BatchNormalization", {"y", "scale", "shift", "mean", "variance"}, "n");
    m.node("Relu", {"n"}, "r");
    m.node("MaxPool", {"r"}, "p", {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}});
    m.node("Flatten", {"p"}, "code");
    m.node("Gemm", {"code", "W", "c"}, "logits", {{"transB", std::int64_t{1}}});
    m.node("Softmax", {"logits"}, "probabilities", {{"axis", std::int64_t{1}}});
    return m.bytes("probabilities");
  }
  Expr operator()(const Expr& x) const {
    const auto maps = [](const Tensor& t) { return dimshuffle(constant(t), {0, -1, -1}); };
    const Expr y = conv2d(x, constant(w), {.padding = 1}) + maps(b);
    const Expr n = (y - maps(mean)) / sqrt(maps(variance) + 1e-5) * maps(scale) + maps(shift);
    const Expr code = flatten(max_pool2d(relu(n), 2), 1);
    return softmax(dot(code, transpose(constant(W))) + constant(c));
  }
};

}  // namespace

TEST_CASE("a convolutional classifier of an ONNX file computes what its formula says") {
  const testing::TemporaryFolder folder;
  const Classifier classifier;
  write(folder / "c.onnx", classifier.bytes());
  testing::check_onnx({folder / "c.onnx"});
  const OnnxNetwork network = read_onnx(folder / "c.onnx");
  REQUIRE(network.inputs.size() == 1);
  CHECK(text(network.inputs[0].type()) == "float32 (?, 1, 4, 4)");
  CHECK(network.params.size() == 6);
  CHECK(network.params[0].label() == "w");
  CHECK(network.constants.size() == 2);
  const Expr x = tensor4("x");
  const Tensor images = RandomState(2).uniform(-1, 1, {3, 1, 4, 4}, DType::float32);
  const Tensor found = evaluate(network(x), {{x, images}}),
               expected = evaluate(classifier(x), {{x, images}});
  CHECK(testing::distance(found, expected) < 1e-6);
  // And what onnxruntime says.
  OnnxInterface names;
  names.inputs = {{"image", type_of(images), x, ""}};
  const std::vector<testing::OnnxResult> results =
      testing::run_onnx(folder, {{folder / "c.onnx", names, {images}, {}}});
  if (!results.empty()) {
    REQUIRE(results[0].error == "");
    const std::vector<double>& all = results[0].last.at("probabilities");
    REQUIRE(static_cast<std::int64_t>(all.size()) == found.size());
    for (std::int64_t k = 0; k < found.size(); ++k)
      CHECK(all[static_cast<std::size_t>(k)] == doctest::Approx(found.at(k)).epsilon(1e-5));
  }
  // A penalty on its code.
  const OnnxNetwork encoder = read_onnx(folder / "c.onnx", {"code"});
  const Expr h = encoder(x), penalty = mean(jacobian_norm2(h, x));
  CHECK(text(evaluate(h, {{x, images}}).shape()) == "(3, 12)");
  const Tensor slope = evaluate(grad(penalty, encoder.params[0]), {{x, images}});
  CHECK(text(slope.shape()) == "(3, 1, 3, 3)");
  CHECK(evaluate(sum(abs(grad(penalty, encoder.params[0]))), {{x, images}}).item() > 0);
}

TEST_CASE("what write_onnx() writes of an encoder read_onnx() reads") {
  const testing::TemporaryFolder folder;
  RandomState random(1);
  const auto m = autoencoder({6, 5, 3}, random, {.dtype = DType::float64});
  const Expr x = variable("x", DType::float64, {-1, 6});
  write_onnx(folder / "e.onnx", {.inputs = {x}, .outputs = {m.encode(x)}}, {.outputs = {"code"}});
  const OnnxNetwork encoder = read_onnx(folder / "e.onnx");
  CHECK(encoder.params.size() == 4);
  const Tensor value = random.uniform(-1, 1, {4, 6});
  CHECK(testing::distance(evaluate(encoder(x), {{x, value}}), evaluate(m.encode(x), {{x, value}})) <
        1e-14);
  CHECK_THROWS_WITH_AS(encoder(matrix("y")), doctest::Contains("the network takes float64 (?, 6)"),
                       TypeError);
}

TEST_CASE("operators of ONNX files, one by one") {
  const testing::TemporaryFolder folder;
  const Expr x = variable("x", DType::float32, {2, 3, 4});
  const Tensor value = RandomState(3).uniform(0.1, 0.9, {2, 3, 4}, DType::float32);
  const auto agrees = [&](const std::string& op, const std::vector<exchange::Attribute>& attributes,
                          const Expr& expected, const std::vector<std::string>& more = {},
                          std::int64_t opset = 17) {
    CAPTURE(op);
    Model m(opset);
    m.input("x", 1, {2, 3, 4});
    m.tensor("axes", Tensor::from<std::int64_t>({1}, {1}));
    m.tensor("shape", Tensor::from<std::int64_t>({2}, {0, -1}));
    m.tensor("half", Tensor::full(DType::float32, {}, 0.5));
    std::vector<std::string> inputs{"x"};
    inputs.insert(inputs.end(), more.begin(), more.end());
    m.node(op, inputs, "y", attributes);
    write(folder / "one.onnx", m.bytes("y"));
    const OnnxNetwork network = read_onnx(folder / "one.onnx");
    const Tensor a = evaluate(network(x), {{x, value}}), b = evaluate(expected, {{x, value}});
    CHECK(testing::distance(a, b) < 1e-6);
  };
  agrees("Sigmoid", {}, sigmoid(x));
  agrees("Softplus", {}, softplus(x));
  agrees("Elu", {}, elu(x));
  agrees("LeakyRelu", {}, leaky_relu(-x * -1));
  agrees("Add", {}, x + x, {"x"});
  agrees("Sub", {}, x - 0.5, {"half"});
  agrees("Pow", {}, sqrt(x), {"half"});
  agrees("Max", {}, maximum(x, 0.5), {"half", "x"});
  agrees("Clip", {}, maximum(x, 0.5), {"half"});
  agrees("Concat", {{"axis", std::int64_t{-1}}}, concatenate({x, x}, 2), {"x"});
  agrees("Flatten", {}, flatten(x, 1));
  agrees("Reshape", {}, flatten(x, 1), {"shape"});
  agrees("Transpose", {{"perm", Ints{2, 0, 1}}}, transpose(x, {2, 0, 1}));
  agrees("Unsqueeze", {}, expand_dims(x, 1), {"axes"});
  agrees("ReduceSum", {{"keepdims", std::int64_t{0}}}, sum(x, 1), {"axes"});
  agrees("ReduceMean", {{"axes", Ints{1, -1}}}, mean(x, {1, 2}, true));
  agrees("Softmax", {}, softmax(x));
  agrees("LogSoftmax", {{"axis", std::int64_t{1}}}, log_softmax(x, 1));
  agrees("GlobalAveragePool", {}, mean(x, 2, true));
  agrees("AveragePool", {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}}, average_pool1d(x, 2));
}

TEST_CASE("ONNX files that are no networks are errors that name the file and the operator") {
  const testing::TemporaryFolder folder;
  const auto refused = [&](const std::string& bytes) {
    write(folder / "bad.onnx", bytes);
    try {
      read_onnx(folder / "bad.onnx");
    } catch (const FileError& e) {
      const std::string what = e.what();
      CHECK(what.find("bad.onnx") != std::string::npos);
      return what.substr(what.find("bad.onnx") + 10);
    }
    return std::string("not refused");
  };
  const auto with = [](const std::string& op, std::int64_t opset = 17) {
    Model m(opset);
    m.input("x", 1, {-1, 3});
    m.node(op, {"x"}, "y");
    return m.bytes("y");
  };
  CHECK(refused("") == "no ONNX model: it has no graph");
  CHECK(refused("no model") != "not refused");
  CHECK(refused(with("LSTM")) ==
        "the operator LSTM LSTM_y is not known: feed-forward networks are read");
  CHECK(refused(with("Add")) == "the operator Add Add_y: it has no operand 1");
  CHECK(refused(with("Relu", 6)) == "operator set 6; 9 to 22 are read");
  CHECK(refused(with("Conv")).starts_with("the operator Conv Conv_y: it is neither of one"));
  Model loose;
  loose.node("Relu", {"x"}, "y");
  CHECK(refused(loose.bytes("y")) == "the operator Relu Relu_y: there is no value x before it");
  Model wrong;
  wrong.input("x", 1, {-1, 3});
  wrong.tensor("W", Tensor(DType::float32, {4, 2}));
  wrong.node("MatMul", {"x", "W"}, "y");
  CHECK(refused(wrong.bytes("y")).starts_with("the operator MatMul MatMul_y: "));
  Message few;
  few.numbers(1, {std::int64_t{1} << 40, std::int64_t{1} << 40})
      .number(2, 1)
      .text(8, "W")
      .text(9, "abcd");
  CHECK(refused(Message().message(7, Message().message(5, few)).bytes()) ==
        "no ONNX model: the tensor W has fewer elements than its sizes say");
  CHECK_THROWS_AS(read_onnx(folder / "missing.onnx"), FileError);
}

TEST_CASE("damaged ONNX files are read or refused, whatever is damaged") {
  const testing::TemporaryFolder folder;
  const std::string good = Classifier().bytes();
  std::mt19937 random(7);
  int refused = 0, read = 0;
  const auto reads = [&](const std::string& bytes) {
    write(folder / "f.onnx", bytes);
    try {
      read_onnx(folder / "f.onnx");
      ++read;
    } catch (const FileError&) {
      ++refused;
    }
  };
  for (std::size_t size = 0; size < good.size(); size += 7) reads(good.substr(0, size));
  const std::int64_t rounds = testing::number_from("CINCH_ROUNDS", 1) * 3000;
  for (std::int64_t k = 0; k < rounds; ++k) {
    std::string bytes = good;
    for (std::size_t n = random() % 4 + 1; n > 0; --n) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
          break;
        case 2:
          bytes.erase(at, random() % 5);
          break;
        default:
          bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 30));
      }
    }
    reads(bytes);
  }
  CHECK(refused > 500);
  CHECK(read > 100);  // Weights may be anything.
}

// What the tests of cinch::mpi start: a training of a kind that is named, by few options, that ends
// with a line which says all bits of its parameters.
//
//     mpi_program KIND [name=value ...]
//
// Kinds: contractive, denoising, deep (four hidden layers), variational, stacked, normalised.
// Options: epochs, batch, threads, seed, rows, hidden; distribute=mpi, one or none;
// checkpoint=FILE, resume=0 or 1; limit, of mpi(); sleep, seconds that the rank `who` takes for
// each step; die, seconds after which it is killed; parts, of a minibatch; disk, bytes that a file
// of its may have; halt, the step after which it is stopped, as by SIGSTOP; stop=1, early stopping;
// validate=0, none; log=FILE, out=1, what train() shows; time=1, how long a step took;
// shards=FOLDER, data in files; read=1, how many bytes rank 0 read in the training.
#include <sys/resource.h>

#include <chrono>
#include <cinch/cinch.hpp>
#include <cinch/mpi/mpi.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <thread>

using namespace cinch;

namespace {

using Settings = std::map<std::string, std::string>;

Settings settings_of(int argc, char** argv) {
  Settings result{{"epochs", "3"},       {"batch", "64"},   {"threads", "1"},  {"seed", "1"},
                  {"rows", "200"},       {"hidden", "24"},  {"limit", "60"},   {"sleep", "0"},
                  {"distribute", "mpi"}, {"resume", "0"},   {"who", "-1"},     {"checkpoint", ""},
                  {"log", ""},           {"time", "0"},     {"validate", "1"}, {"die", "0"},
                  {"halt", "0"},         {"disk", "0"},     {"parts", "0"},    {"out", "0"},
                  {"stop", "0"},         {"visible", "36"}, {"shards", ""},    {"read", "0"}};
  for (int k = 2; k < argc; ++k) {
    const std::string option = argv[k];
    const std::size_t equals = option.find('=');
    if (equals == std::string::npos || !result.contains(option.substr(0, equals)))
      throw ValueError("no such option: " + option);
    result[option.substr(0, equals)] = option.substr(equals + 1);
  }
  return result;
}

std::int64_t whole(const Settings& s, const char* name) { return std::stoll(s.at(name)); }

/// Smooth images of a few strokes, in [0, 1].
Tensor images(std::int64_t rows, std::int64_t visible) {
  RandomState random(7);
  const Tensor codes = random.normal(0, 1, {rows, 3}, DType::float64);
  const Tensor strokes = random.normal(0, 1, {3, visible}, DType::float64);
  return evaluate(cast(sigmoid(dot(codes, strokes)), DType::float32));
}

struct Model {
  Expr cost;
  std::vector<Shared> params;
};

Model model(const std::string& kind, const Expr& x, const Settings& s, RandomStreams& streams) {
  RandomState random(whole(s, "seed"));
  const std::int64_t hidden = whole(s, "hidden"), visible = whole(s, "visible");
  if (kind == "contractive") {
    const auto m = contractive_autoencoder(visible, hidden, random);
    return {contractive_cost(m, x, 0.1, Penalty::jacobian).total, m.params()};
  }
  if (kind == "variational") {
    const auto v = variational_autoencoder({visible, hidden, 4}, random);
    return {variational_cost(v, x, streams, cross_entropy, 1.0).total, v.params()};
  }
  if (kind == "deep") {
    const auto m = autoencoder({visible, hidden, hidden, hidden, hidden}, random);
    return {denoising_cost(m, x, masking(x, 0.3, streams).x, cross_entropy), m.params()};
  }
  const auto m = autoencoder({visible, hidden}, random, {.hidden = sigmoid, .output = sigmoid});
  if (kind == "normalised") {
    const Expr h = m.encode(x), centred = h - mean(h, 0);
    const Expr z = m.decode(centred / sqrt(mean(square(centred), 0) + 1e-5));
    return {mean(cross_entropy(x, z)), m.params()};
  }
  if (kind != "denoising") throw ValueError("no such kind: " + kind);
  return {denoising_cost(m, x, masking(x, 0.3, streams).x, cross_entropy), m.params()};
}

std::string bits_of(const std::vector<Shared>& variables) {
  std::uint64_t sum = 0xCBF29CE484222325u;
  for (const Shared& variable : variables) {
    const Tensor value = variable.get();
    const auto* bytes = static_cast<const unsigned char*>(value.raw());
    for (std::size_t k = 0; k < value.bytes(); ++k) sum = (sum ^ bytes[k]) * 0x100000001B3u;
  }
  char result[17];
  std::snprintf(result, sizeof result, "%016llx", static_cast<unsigned long long>(sum));
  return result;
}

TrainOptions options_of(const Settings& s, std::shared_ptr<Distribution> distribution) {
  TrainOptions o;
  o.epochs = whole(s, "epochs");
  o.batch = whole(s, "batch");
  o.shuffle = 3;
  o.checkpoint = s.at("checkpoint");
  o.log = s.at("log");
  o.resume = s.at("resume") == "1" ? Resume::if_present : Resume::never;
  o.out = s.at("out") == "1" ? stdout : nullptr;
  o.after_interrupt = AfterInterrupt::end_program;
  o.distribute = std::move(distribution);
  if (o.distribute) o.parts = whole(s, "parts");
  const int rank = o.distribute ? o.distribute->rank() : 0;
  if (const double seconds = std::stod(s.at("sleep")); seconds > 0 && rank == whole(s, "who"))
    o.after_step = [seconds](const StepReport&) {
      std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    };
  if (const auto halt = whole(s, "halt"); halt > 0 && rank == whole(s, "who"))
    o.after_step = [halt](const StepReport& r) {
      if (r.step + 1 == halt) std::raise(SIGSTOP);
    };
  return o;
}

/// Ends this process as kill -9 does, at a moment that nobody has chosen.
void die_after(double seconds) {
  std::thread([seconds] {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    std::raise(SIGKILL);
  }).detach();
}

/// Layers one after the other, each on the codes of those before.
std::vector<Shared> train_stack(const Tensor& data, const Settings& s,
                                const std::shared_ptr<Distribution>& distribution) {
  RandomState random(whole(s, "seed"));
  RandomStreams streams(5);
  const auto stack = autoencoder_stack({whole(s, "visible"), whole(s, "hidden"), 8}, random);
  std::vector<Shared> result;
  Tensor input = data;
  for (const auto& layer : stack) {
    const Expr x = matrix("x");
    const Expr cost = denoising_cost(layer, x, masking(x, 0.2, streams).x, cross_entropy);
    TrainOptions o = options_of(s, distribution);
    o.step =
        function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, layer.params(), 0.5)});
    o.data = {&input};
    train(o);
    for (const Shared& p : layer.params()) result.push_back(p);
    input = evaluate(layer.encode(x), {{x, input}});
  }
  return result;
}

/// Bytes that this process has read so far; 0 where that is not known.
std::int64_t bytes_read() {
  std::ifstream io("/proc/self/io");
  std::int64_t result = 0;
  for (std::string word; io >> word;) {
    if (word == "rchar:" && io >> result) return result;
  }
  return result;
}

std::vector<Shared> train_one(const std::string& kind, const Tensor& data, const Settings& s,
                              const std::shared_ptr<Distribution>& distribution) {
  const Expr x = matrix("x");
  RandomStreams streams(5);
  const Model m = model(kind, x, s, streams);
  TrainOptions o = options_of(s, distribution);
  const Updates updates = kind == "contractive"
                              ? adam(m.params, clip_by_global_norm(grad(m.cost, m.params), 1), 0.01)
                              : sgd(m.cost, m.params, 0.1);
  o.step = function({.inputs = {x}, .outputs = {m.cost}, .updates = updates});
  const std::string folder = s.at("shards");
  std::optional<Shards> shards;
  if (folder.empty()) {
    o.data = {&data};
  } else {
    shards.emplace(folder);
    o.shards = {&*shards};
  }
  if (s.at("validate") == "1") {
    o.validate = function({.inputs = {x}, .outputs = {m.cost}});
    o.validation_data = {&data};
    o.validation_batch = 30;
  }
  o.params = m.params;
  if (s.at("stop") == "1") o.early_stopping = EarlyStopping{4, 2, 0.9};
  const std::int64_t before = bytes_read();
  const TrainResult result = train(o);
  if (s.at("read") == "1" && (!distribution || distribution->rank() == 0))
    std::printf("read %lld\n", static_cast<long long>(bytes_read() - before));
  if (!distribution || distribution->rank() == 0) {
    std::printf("steps %lld", static_cast<long long>(result.state.step));
    for (const double mean : result.state.history.back().training) std::printf(" %.17g", mean);
    for (const double mean : result.state.history.back().validation) std::printf(" %.17g", mean);
    std::printf("\n");
  }
  if (s.at("time") == "1" && (!distribution || distribution->rank() == 0))
    std::printf("milliseconds a step %.2f\n",
                1e3 * result.state.seconds / static_cast<double>(result.state.step));
  return m.params;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) throw ValueError("usage: mpi_program KIND [name=value ...]");
  const Settings s = settings_of(argc, argv);
  set_threads(static_cast<int>(whole(s, "threads")));
  std::shared_ptr<Distribution> distribution;
  if (s.at("distribute") == "mpi") distribution = mpi({.limit = std::stod(s.at("limit"))});
  if (s.at("distribute") == "one") distribution = one_process();
  const int rank = distribution ? distribution->rank() : 0;
  if (const double seconds = std::stod(s.at("die")); seconds > 0 && rank == whole(s, "who"))
    die_after(seconds);
  if (const std::int64_t most = whole(s, "disk"); most > 0 && rank == whole(s, "who")) {
    std::signal(SIGXFSZ, SIG_IGN);  // Then it is an error of write(), as where a disk is full.
    const rlimit limit{static_cast<rlim_t>(most), static_cast<rlim_t>(most)};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  const Tensor data = images(whole(s, "rows"), whole(s, "visible"));
  const std::vector<Shared> trained = std::string(argv[1]) == "stacked"
                                          ? train_stack(data, s, distribution)
                                          : train_one(argv[1], data, s, distribution);
  if (!distribution || distribution->rank() == 0)
    std::printf("bits %s\n", bits_of(trained).c_str());
} catch (const Error& e) {
  std::cerr << e.what() << '\n';
  return 1;
}

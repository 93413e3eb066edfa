#include "cinch/train/state.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <span>

#include "cinch/io/file.hpp"
#include "cinch/io/npy.hpp"

namespace cinch {

namespace {

constexpr std::int64_t version = 1;

Tensor integers(const std::vector<std::int64_t>& values) {
  return Tensor::from<std::int64_t>({static_cast<std::int64_t>(values.size())}, values);
}
Tensor numbers(const std::vector<double>& values) {
  return Tensor::from<double>({static_cast<std::int64_t>(values.size())}, values);
}

/// epoch, step, best, rate, seconds, how many outputs training has, and all outputs.
std::vector<double> row(const EpochReport& e) {
  std::vector<double> result{
      static_cast<double>(e.epoch),          static_cast<double>(e.step), e.best, e.rate, e.seconds,
      static_cast<double>(e.training.size())};
  result.insert(result.end(), e.training.begin(), e.training.end());
  result.insert(result.end(), e.validation.begin(), e.validation.end());
  return result;
}

Tensor table(const std::vector<EpochReport>& history) {
  std::vector<double> all;
  std::int64_t columns = 6;
  for (const EpochReport& epoch : history) {
    const auto values = row(epoch);
    columns = static_cast<std::int64_t>(values.size());
    all.insert(all.end(), values.begin(), values.end());
  }
  return Tensor::from<double>({static_cast<std::int64_t>(history.size()), columns}, all);
}

/// The arrays of a file, asked for one by one.
class SavedArrays {
 public:
  explicit SavedArrays(const std::string& path)
      : path_(path), arrays_(read_npz(path, Elements::as_stored)) {
    if (!arrays_.contains("training/version")) fail("is not a checkpoint of a training");
    const std::int64_t found = integers("training/version", 1)[0];
    if (found != version)
      fail(text("is a checkpoint of version ", found, ", this program reads version ", version));
  }

  [[noreturn]] void fail(const std::string& what) const { file_error(path_, what); }

  /// An array of this dtype, and with `count` elements unless that is -1.
  const Tensor& get(const std::string& name, DType dtype, std::int64_t rank,
                    std::int64_t count = -1) const {
    const auto found = arrays_.find(name);
    if (found == arrays_.end()) fail("is a damaged checkpoint: it has no " + name);
    const Tensor& value = found->second;
    if (value.dtype() != dtype || value.rank() != rank || (count >= 0 && value.size() != count))
      fail(text("is a damaged checkpoint: ", name, " is ", text(type_of(value))));
    return value;
  }
  std::vector<std::int64_t> integers(const std::string& name, std::int64_t count) const {
    const auto data = get(name, DType::int64, 1, count).data<std::int64_t>();
    return {data.begin(), data.end()};
  }
  std::vector<double> numbers(const std::string& name, std::int64_t count = -1) const {
    const auto data = get(name, DType::float64, 1, count).data<double>();
    return {data.begin(), data.end()};
  }

  /// Of the arrays "prefix/...": name and type, or, for integers of one element, value.
  std::map<std::string, std::string> described(const std::string& prefix, bool values) const {
    std::map<std::string, std::string> result;
    for (const auto& [name, value] : arrays_) {
      if (!name.starts_with(prefix)) continue;
      result[name.substr(prefix.size())] =
          values && value.dtype() == DType::int64 && value.size() == 1
              ? text(value.data<std::int64_t>()[0])
              : text(type_of(value));
    }
    return result;
  }
  Tensor& value(const std::string& name) { return arrays_.at(name); }

 private:
  std::string path_;
  std::map<std::string, Tensor> arrays_;
};

using Descriptions = std::map<std::string, std::string>;

void compare(const Descriptions& here, const Descriptions& there, std::string& differences) {
  for (const auto& [name, what] : here) {
    const auto found = there.find(name);
    if (found == there.end()) {
      differences += text("\n  ", name, " (", what, ") is not in the file");
    } else if (found->second != what) {
      differences += text("\n  ", name, " is ", what, " here, ", found->second, " in the file");
    }
  }
  for (const auto& [name, what] : there) {
    if (!here.contains(name))
      differences += text("\n  ", name, " (", what, ") is in the file only");
  }
}

Descriptions types(const NamedVariables& variables) {
  Descriptions result;
  for (const auto& [name, variable] : variables) result[name] = text(type_of(variable.value()));
  return result;
}

void require_same(const SavedArrays& arrays, const TrainSetup& setup,
                  const NamedVariables& variables, const NamedVariables& params) {
  std::string differences;
  Descriptions settings;
  for (const auto& [name, value] : setup) settings[name] = text(value);
  compare(types(variables), arrays.described("variable/", false), differences);
  compare(settings, arrays.described("setup/", true), differences);
  const auto best = arrays.described("best/", false);
  if (differences.empty() && !best.empty()) compare(types(params), best, differences);
  if (!differences.empty()) arrays.fail("is a checkpoint of another training:" + differences);
}

/// Throws ValueError where there is none.
std::int64_t setting(const TrainSetup& setup, const std::string& name) {
  const auto found = std::ranges::find(setup, name, &TrainSetup::value_type::first);
  if (found == setup.end()) throw ValueError("read_state: the setup has no " + name);
  return found->second;
}

/// Counts and steps beyond this are no training's; sums of them do not overflow, and doubles hold
/// them.
constexpr std::int64_t most_steps = std::int64_t{1} << 52;

/// A whole number from 0 to most_steps that was stored as a double.
std::int64_t count_in(const SavedArrays& arrays, double value) {
  if (!(value >= 0 && value <= static_cast<double>(most_steps)) || value != std::floor(value))
    arrays.fail(text("is a damaged checkpoint: its history has the count ", value));
  return static_cast<std::int64_t>(value);
}

std::vector<EpochReport> history(const SavedArrays& arrays, const TrainSetup& setup) {
  const Tensor& all = arrays.get("training/history", DType::float64, 2);
  const auto data = all.data<double>();
  const auto columns = static_cast<std::size_t>(all.shape()[1]);
  const std::int64_t outputs_here = setting(setup, "outputs");
  const std::int64_t width = 6 + outputs_here + setting(setup, "validation_outputs");
  if (all.size() > 0 && all.shape()[1] != width)
    arrays.fail(
        text("is a damaged checkpoint: its history has ", columns, " columns, not ", width));
  std::vector<EpochReport> result;
  for (std::size_t at = 0; at + columns <= data.size() && columns > 0; at += columns) {
    const auto r = data.subspan(at, columns);
    if (count_in(arrays, r[5]) != outputs_here)
      arrays.fail(
          text("is a damaged checkpoint: its history has ", r[5], " outputs, not ", outputs_here));
    const auto outputs = r.subspan(6);
    const auto split = outputs.begin() + static_cast<std::ptrdiff_t>(r[5]);
    result.push_back({count_in(arrays, r[0]),
                      count_in(arrays, r[1]),
                      {outputs.begin(), split},
                      {split, outputs.end()},
                      r[2],
                      r[3],
                      r[4]});
  }
  return result;
}

RandomState::State random(const SavedArrays& arrays) {
  constexpr auto count = RandomState::State::word_count;
  const auto words = arrays.integers("training/random", count + 2);
  constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
  for (const std::int64_t word : words) {
    if (word < 0 || word > most)
      arrays.fail(text("is a damaged checkpoint: its random state has the word ", word));
  }
  if (words[count + 1] > 1)
    arrays.fail(text("is a damaged checkpoint: its random state has ", words[count + 1],
                     " numbers in store"));
  RandomState::State result;
  std::ranges::transform(words.begin(), words.begin() + count, result.words.begin(),
                         [](std::int64_t word) { return static_cast<std::uint32_t>(word); });
  result.position = static_cast<std::uint32_t>(words[count]);
  result.has_gauss = words[count + 1] != 0;
  result.cached_gauss = arrays.numbers("training/gauss", 1)[0];
  if (!(std::abs(result.cached_gauss) < 40))  // Farther out than any double is drawn.
    arrays.fail(text("is a damaged checkpoint: its random state has ", result.cached_gauss));
  try {
    RandomState(0).set_state(result);
  } catch (const ValueError& error) {
    arrays.fail(text("is a damaged checkpoint: ", error.what()));
  }
  return result;
}

/// Throws FileError where the counts could not be those of this training.
void require_possible(const SavedArrays& arrays, const TrainState& s, const TrainSetup& setup,
                      std::span<const std::int64_t> counters) {
  const auto fail = [&](const std::string& what) {
    arrays.fail("is a damaged checkpoint: " + what);
  };
  if (std::ranges::min(counters.first(3)) < 0 || counters[3] < -1) fail("a counter is negative");
  for (const std::int64_t n : counters.first(4)) {
    if (n > most_steps) fail(text("no training has made ", n, " steps"));
  }
  if (counters[4] != 0 && counters[4] != 1) fail(text("whether it stopped is ", counters[4]));
  const std::int64_t rows = setting(setup, "rows"), batch = setting(setup, "batch");
  if (s.batch > 0 && s.batch > rows / batch) fail(text("it has minibatch ", s.batch));
  if (s.patience.best_step > s.step)
    fail(text("its best step is ", s.patience.best_step, ", its last ", s.step));
  // What sums up rows, and seconds, may be no NaN.
  if (!(s.weight >= 0 && s.weight <= static_cast<double>(rows)))
    fail(text("its epoch has made ", s.weight, " rows of ", rows));
  if (!(s.seconds >= 0) || std::isinf(s.seconds)) fail(text("it took ", s.seconds, " seconds"));
  if (std::isnan(s.patience.steps) || std::isnan(s.patience.best)) fail("its patience is nan");
  for (const double sum : s.sums) {
    if (!std::isfinite(sum)) fail(text("a sum of outputs is ", sum));
  }
  const auto drop_last = std::ranges::find(setup, "drop_last", &TrainSetup::value_type::first);
  if (drop_last == setup.end()) return;  // Then minibatches are not known.
  const std::int64_t in_epoch = rows / batch + (drop_last->second == 0 && rows % batch != 0);
  const auto steps_of = [&](std::int64_t epochs) {
    std::int64_t steps = 0;
    return __builtin_mul_overflow(epochs, in_epoch, &steps) ? most_steps : steps;
  };
  const bool fits = s.stopped_early ? s.step <= steps_of(s.epoch) &&
                                          s.step > steps_of(std::max<std::int64_t>(s.epoch, 1) - 1)
                                    : s.step == steps_of(s.epoch) + s.batch;
  if (!fits)
    fail(text("step ", s.step, " is not in epoch ", s.epoch, ", minibatch ", s.batch, " of ",
              in_epoch));
  if (static_cast<std::int64_t>(s.history.size()) != s.epoch)
    fail(text("its history has ", s.history.size(), " epochs of ", s.epoch));
}

}  // namespace

NamedVariables named(const std::vector<Shared>& variables) {
  NamedVariables result;
  for (std::size_t k = 0; k < variables.size(); ++k) {
    const std::string& label = variables[k].label();
    const auto same = std::ranges::count(variables, label, &Shared::label);
    std::string name = label.empty() || same > 1 ? text(label, '#', k) : label;
    if (name != label) {  // Nobody else may be called so.
      while (std::ranges::count(variables, name, &Shared::label) > 0) name += '#';
    }
    result.emplace_back(std::move(name), variables[k]);
  }
  return result;
}

void write_state(const std::string& path, const TrainSetup& setup, const TrainState& s,
                 const NamedVariables& variables, const NamedVariables& params) {
  std::vector<std::int64_t> words(s.random.words.begin(), s.random.words.end());
  words.push_back(s.random.position);
  words.push_back(s.random.has_gauss);
  std::vector<std::pair<std::string, Tensor>> arrays{
      {"training/version", integers({version})},
      {"training/counters",
       integers({s.epoch, s.batch, s.step, s.patience.best_step, s.stopped_early})},
      {"training/numbers",
       numbers({s.weight, s.rate, s.seconds, s.patience.steps, s.patience.best})},
      {"training/sums", numbers(s.sums)},
      {"training/validation", numbers(s.validation)},
      {"training/history", table(s.history)},
      {"training/random", integers(words)},
      {"training/gauss", numbers({s.random.cached_gauss})},
  };
  for (const auto& [name, value] : setup) arrays.emplace_back("setup/" + name, integers({value}));
  for (const auto& [name, variable] : variables)
    arrays.emplace_back("variable/" + name, variable.get());
  for (std::size_t k = 0; k < s.best.size(); ++k)
    arrays.emplace_back("best/" + params[k].first, s.best[k]);
  write_npz(path, arrays);
}

TrainState read_state(const std::string& path, const TrainSetup& setup,
                      const NamedVariables& variables, const NamedVariables& params) {
  SavedArrays arrays(path);
  require_same(arrays, setup, variables, params);

  TrainState s;
  const auto counters = arrays.integers("training/counters", 5);
  const auto values = arrays.numbers("training/numbers", 5);
  s.epoch = counters[0], s.batch = counters[1], s.step = counters[2];
  s.stopped_early = counters[4] != 0;
  s.weight = values[0], s.rate = values[1], s.seconds = values[2];
  s.patience = {values[3], values[4], counters[3]};
  s.sums = arrays.numbers("training/sums", setting(setup, "outputs"));
  s.validation = arrays.numbers("training/validation", setting(setup, "validation_outputs"));
  s.history = history(arrays, setup);
  require_possible(arrays, s, setup, counters);
  s.random = random(arrays);
  if (!arrays.described("best/", false).empty()) {
    for (const auto& [name, variable] : params)
      s.best.push_back(std::move(arrays.value("best/" + name)));
  }
  // Everything fits: from here on nothing throws.
  for (const auto& [name, variable] : variables) {
    Shared target = variable;
    target.set(std::move(arrays.value("variable/" + name)));
  }
  return s;
}

}  // namespace cinch

#include "cinch/train/early_stopping.hpp"

#include <algorithm>

#include "cinch/core/error.hpp"

namespace cinch {

void require_valid(const EarlyStopping& s) {
  const auto require = [](bool valid, const char* what, double value, const char* range) {
    if (!valid)
      throw ValueError(text("early stopping: ", what, " must be ", range, ", got ", value));
  };
  require(s.patience >= 0, "patience", s.patience, "not negative");
  require(s.patience_increase >= 1, "patience_increase", s.patience_increase, "at least 1");
  require(s.improvement_threshold > 0 && s.improvement_threshold <= 1, "improvement_threshold",
          s.improvement_threshold, "in (0, 1]");
}

bool observe(Patience& patience, const EarlyStopping* settings, std::int64_t step, double loss) {
  if (!(loss < patience.best)) return false;
  if (settings) {
    const double threshold = settings->improvement_threshold;
    const double enough = patience.best * (patience.best >= 0 ? threshold : 2 - threshold);
    if (loss < enough)
      patience.steps =
          std::max(patience.steps, static_cast<double>(step) * settings->patience_increase);
  }
  patience.best = loss;
  patience.best_step = step;
  return true;
}

}  // namespace cinch

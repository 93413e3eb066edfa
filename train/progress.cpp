#include "cinch/train/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "cinch/core/error.hpp"

namespace cinch {

std::string progress_line(std::int64_t done, std::int64_t total, std::int64_t first, double seconds,
                          const std::string& what) {
  const double left =
      done > first ? seconds / static_cast<double>(done - first) * static_cast<double>(total - done)
                   : 0;
  const auto filled = static_cast<std::size_t>(
      std::clamp<std::int64_t>(done * 30 / std::max<std::int64_t>(total, 1), 0, 30));
  return text('[', std::string(filled, '#'), std::string(30 - filled, '.'), "] ", what, ", ",
              static_cast<std::int64_t>(std::nearbyint(left)), " s left");
}

Progress::Progress(std::FILE* out, std::int64_t total, std::int64_t first)
    : out_(out && isatty(fileno(out)) ? out : nullptr), total_(total), first_(first) {}

double Progress::elapsed() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

bool Progress::due(std::int64_t done) const {
  return out_ && (elapsed() - last_ >= 0.1 || done >= total_);
}

void Progress::show(std::int64_t done, const std::string& what) {
  if (!out_) return;
  last_ = elapsed();
  std::fprintf(out_, "\r%s \033[K", progress_line(done, total_, first_, last_, what).c_str());
  std::fflush(out_);
}

void Progress::clear() const {
  if (out_) std::fputs("\r\033[K", out_);
}

}  // namespace cinch

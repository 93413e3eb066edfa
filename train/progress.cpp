#include "cinch/train/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "cinch/core/columns.hpp"
#include "cinch/core/error.hpp"

namespace cinch {

std::string progress_line(std::int64_t done, std::int64_t total, std::int64_t first, double seconds,
                          const std::string& what, int width) {
  const double left =
      done > first ? seconds / static_cast<double>(done - first) * static_cast<double>(total - done)
                   : 0;
  std::string line = text(what, ", ", static_cast<std::int64_t>(std::nearbyint(left)), " s left");
  const std::int64_t bar = std::min(30, width - columns_of(line) - 3);
  if (bar >= 5) {
    const std::int64_t filled =
        std::clamp<std::int64_t>(done * bar / std::max<std::int64_t>(total, 1), 0, bar);
    line = '[' + std::string(static_cast<std::size_t>(filled), '#') +
           std::string(static_cast<std::size_t>(bar - filled), '.') + "] " + line;
  }
  while (columns_of(line) > std::max(width, 0)) line.pop_back();
  return line;
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
  // A full line would begin the next one; asked each time, as windows are resized.
  const int width = terminal_width(out_) - 1;
  std::fprintf(out_, "\r%s\033[K", progress_line(done, total_, first_, last_, what, width).c_str());
  std::fflush(out_);
}

void Progress::clear() const {
  if (out_) std::fputs("\r\033[K", out_);
}

}  // namespace cinch

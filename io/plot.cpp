#include "cinch/io/plot.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <locale>
#include <sstream>
#include <string_view>
#include <system_error>

#include "cinch/core/error.hpp"
#include "cinch/io/file.hpp"

namespace cinch {

namespace {

// Okabe and Ito's palette, which colour-blind readers can tell apart.
constexpr std::array<const char*, 7> colours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                "#56b4e9", "#e69f00", "#000000"};
constexpr std::size_t most_marked_points = 30;

/// A text as gnuplot's single-quoted string, where only the quote itself is special, on one line.
std::string quoted(const std::string& value) {
  std::string result = "'";
  for (const char c : value) {
    if (c == '\'') result += '\'';
    result += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return result + "'";
}

/// The label of an axis: `wanted`, or the name of its only curve.
std::string label(const std::string& wanted, const std::vector<Curve>& curves, bool right_axis) {
  const auto here = [&](const Curve& curve) { return curve.right_axis == right_axis; };
  if (!wanted.empty() || std::ranges::count_if(curves, here) != 1) return wanted;
  return std::ranges::find_if(curves, here)->name;
}

std::string script(const Plot& plot) {
  const auto& curves = plot.curves;
  const bool right = std::ranges::any_of(curves, &Curve::right_axis);
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.precision(std::numeric_limits<double>::max_digits10);
  out << "set encoding utf8\n"
         "set terminal pngcairo noenhanced size 960,600 font 'DejaVu Sans,12' background "
         "'#ffffff'\n"
         "set datafile missing 'gap'\n"
         "set style line 100 linecolor rgb '#dddddd' linewidth 1\n"
         "set grid back linestyle 100\n"
         "set tics nomirror out scale 0.5 textcolor rgb '#333333'\n"
         "set key outside bottom center horizontal Left reverse samplen 3 spacing 1.3\n"
      << "set border " << (right ? 11 : 3) << " linecolor rgb '#888888'\n"
      << "set title " << quoted(plot.title) << " font ',14'\n"
      << "set xlabel " << quoted(plot.x_label) << "\n"
      << "set ylabel " << quoted(label(plot.y_label, curves, false)) << "\n";
  if (right)
    out << "set y2tics\nset y2label " << quoted(label(plot.right_label, curves, true)) << "\n";
  if (curves.size() == 1 && plot.y_label.empty()) out << "unset key\n";
  if (plot.log_x) out << "set logscale x\n";
  if (plot.log_y) out << "set logscale y\n";

  for (std::size_t i = 0; i < curves.size(); ++i) {
    out << "$curve" << i << " << end_of_curve\n";
    for (std::size_t k = 0; k < curves[i].xs.size(); ++k) {
      const double x = curves[i].xs[k];
      const double y = curves[i].ys[k];
      if (std::isfinite(x) && std::isfinite(y)) {
        out << x << ' ' << y << '\n';
      } else {
        out << '\n';  // an empty line breaks the curve
      }
    }
    out << "end_of_curve\n";
  }
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const Curve& curve = curves[i];
    out << (i ? ", " : "plot ") << "$curve" << i << " using 1:2 axes "
        << (curve.right_axis ? "x1y2" : "x1y1")
        << (curve.xs.size() > most_marked_points ? " with lines"
                                                 : " with linespoints pointtype 7 pointsize 0.6")
        << " linewidth 2" << (curve.right_axis ? " dashtype 2" : "") << " linecolor rgb '"
        << colours[i % colours.size()] << "' title "
        << quoted(curve.right_axis ? curve.name + " (right axis)" : curve.name);
  }
  out << '\n';
  return out.str();
}

FileHandle temporary_file(const std::string& path) {
  // In memory: there may be no folder for temporary files that can be written.
  const int memory = memfd_create("gnuplot", MFD_CLOEXEC);
  FileHandle file(memory < 0 ? nullptr : fdopen(memory, "w+"));
  if (!file) file_error(path, "cannot be drawn: no temporary file: " + system_reason());
  return file;
}

/// Runs gnuplot with these three files, no shell between, and returns its status as waitpid gives
/// it.
int run_gnuplot(const std::string& path, std::FILE* input, const std::string& output,
                std::FILE* messages) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fileno(input), STDIN_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY | O_TRUNC, 0);
  posix_spawn_file_actions_adddup2(&actions, fileno(messages), STDERR_FILENO);
  std::array<char, 8> program{"gnuplot"};
  std::array<char, 3> no_settings{"-d"};  // the user's own settings would change the picture
  const std::array<char*, 3> arguments = {program.data(), no_settings.data(), nullptr};
  pid_t child = 0;
  const int error =
      posix_spawnp(&child, program.data(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    throw NoPlotter(printable(path) + ": cannot be drawn: gnuplot " +
                    (error == ENOENT
                         ? "is not installed; apt-get install gnuplot-nox"
                         : "does not start: " + std::generic_category().message(error)));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) file_error(path, "cannot be drawn: " + system_reason());
  }
  return status;
}

/// What gnuplot said last: why it gave up, after the commands it echoes and its warnings.
std::string complaint(std::FILE* messages) {
  std::rewind(messages);
  std::array<char, 400> line{};
  std::string last = "no reason given";
  while (std::fgets(line.data(), line.size(), messages)) {
    const std::string said(line.data(), std::strcspn(line.data(), "\n"));
    const auto start = said.find_first_not_of(" ^\t\r");
    if (start != std::string::npos) last = said.substr(start);
  }
  return last;
}

/// Whether the file ends as PNG files do; on a full disk gnuplot stops early and says nothing.
bool is_whole_png(const std::string& path) {
  constexpr std::string_view end = "IEND\xae\x42\x60\x82";
  std::array<char, end.size()> last{};
  const FileHandle file = open_file(path, "rb");
  return std::fseek(file.get(), -static_cast<long>(end.size()), SEEK_END) == 0 &&
         std::fread(last.data(), 1, last.size(), file.get()) == last.size() &&
         std::string_view(last.data(), last.size()) == end;
}

}  // namespace

void plot_curves(const std::string& path, const Plot& plot) {
  if (plot.curves.empty()) throw TypeError("plot_curves: there is no curve to draw");
  for (const Curve& curve : plot.curves) {
    if (curve.xs.size() != curve.ys.size()) {
      throw TypeError(text("plot_curves: the curve '", curve.name, "' has ", curve.xs.size(),
                           " xs and ", curve.ys.size(), " ys"));
    }
  }
  AtomicFile file(path);
  const FileHandle input = temporary_file(path);
  const FileHandle messages = temporary_file(path);
  const std::string commands = script(plot);
  if (std::fwrite(commands.data(), 1, commands.size(), input.get()) != commands.size() ||
      std::fflush(input.get()) != 0) {
    file_error(path, "cannot be drawn: " + system_reason());
  }
  std::rewind(input.get());
  const int status = run_gnuplot(path, input.get(), file.temporary(), messages.get());
  if (status != 0) {
    file_error(path, "cannot be drawn: gnuplot says: " + complaint(messages.get()));
  }
  if (!is_whole_png(file.temporary())) {
    file_error(path, "cannot be written: gnuplot stopped early; the disk may be full");
  }
  file.commit();
}

}  // namespace cinch

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

#include "cinch/core/columns.hpp"
#include "cinch/core/error.hpp"
#include "cinch/io/file.hpp"
#include "cinch/io/format/pdf.hpp"

namespace cinch {

namespace {

// Okabe and Ito's palette, which colour-blind readers can tell apart; without colour, dashes and
// marks tell lines apart.
constexpr std::array<const char*, 7> colours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                "#56b4e9", "#e69f00", "#000000"};
constexpr std::array<int, 6> dashes = {1, 2, 4, 5, 3, 6};
constexpr std::array<int, 6> marks = {7, 5, 9, 6, 4, 8};
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

/// As a field of data, which knows no escape.
std::string field(std::string value) {
  for (char& c : value) {
    if (c == '"') c = '\'';
    if (static_cast<unsigned char>(c) < ' ' || c == '\\') c = ' ';
  }
  return '"' + value + '"';
}

std::ostringstream commands() {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.precision(std::numeric_limits<double>::max_digits10);
  return out;
}

/// What kind of file it is to be, by the end of its path, and what such a file ends with.
struct Kind {
  std::string_view extension, terminal, end;
};
constexpr std::array<Kind, 3> kinds = {{{".png", "pngcairo", "IEND\xae\x42\x60\x82"},
                                        {".svg", "svg", "</svg>"},
                                        {".pdf", "pdfcairo", "%%EOF"}}};

const Kind& kind_of(const char* function, const std::string& path) {
  const auto found =
      std::ranges::find_if(kinds, [&](const Kind& kind) { return path.ends_with(kind.extension); });
  if (found != kinds.end()) return *found;
  throw TypeError(
      text(function, ": ", printable(path), " ends neither with .png nor .svg nor .pdf"));
}

/// The terminal for a page of so many pixels, as a screen has them; a PNG has more.
void set_terminal(std::ostream& out, const Kind& kind, double width, double height) {
  out << "set encoding utf8\nset terminal " << kind.terminal << " noenhanced font 'DejaVu Sans,12'"
      << " background '#ffffff' size ";
  if (kind.terminal == "pngcairo") {
    out << 1.5 * width << ',' << 1.5 * height << " fontscale 1.5 linewidth 1.5 pointscale 1.5\n";
  } else if (kind.terminal == "pdfcairo") {
    out << width / 96 << "in," << height / 96 << "in\n";
  } else {
    out << width << ',' << height << "\n";
  }
}

/// The least and the largest of what is drawn along an axis.
struct Extent {
  double low = HUGE_VAL, high = -HUGE_VAL;
  bool whole = true;  ///< All are integers.

  void add(double value, bool log) {
    if (!std::isfinite(value) || (log && value <= 0)) return;
    low = std::min(low, value);
    high = std::max(high, value);
    whole = whole && value == std::floor(value);
  }
  /// Sets the range, with a margin around the first and the last point, and what stands there:
  /// whole numbers where there are few, as an epoch is a whole one; powers of ten and what lies
  /// between them where there are few of those.
  void set(std::ostream& out, const char* axis, double share, bool log) const {
    if (low > high) return;  // gnuplot says what is wrong.
    double from = low, to = high;
    if (log) {
      const double factor = std::pow(high / low, share);
      from /= low == high ? 2 : factor;
      to *= low == high ? 2 : factor;
    } else {
      const double margin =
          low == high ? std::max(std::abs(low) / 10, 1e-12) : (high - low) * share;
      from -= margin;
      to += margin;
    }
    if (std::isfinite(from) && std::isfinite(to) && from < to)
      out << "set " << axis << "range [" << from << ":" << to << "]\n";
    out << "set " << axis << "tics " << (!log && whole && high - low < 12 ? "1" : "auto") << "\n";
    if (!log || to > 100 * from) return;
    const char* between = "tics (";
    out << "set " << axis;
    for (double power = std::pow(10, std::floor(std::log10(from))); power <= to; power *= 10) {
      for (const double times : {1, 2, 3, 5}) {
        if (times * power < from || times * power > to) continue;
        out << between << quoted(text(times * power)) << ' ' << times * power;
        between = ", ";
      }
    }
    out << (*between == ',' ? ")\n" : "tics auto\n");
  }
};

/// A panel's curves.
void draw_panel(std::ostream& out, const Plot& plot, int panel) {
  Extent x, y;
  const auto curves = std::ranges::count(plot.curves, panel, &Curve::panel);
  for (const Curve& curve : plot.curves) {
    for (std::size_t k = 0; k < curve.xs.size(); ++k) {
      x.add(curve.xs[k], plot.log_x);
      if (curve.panel != panel) continue;
      const double error = curve.errors.empty() ? 0 : curve.errors[k];
      y.add(curve.ys[k] - error, plot.log_y && panel == 0);
      y.add(curve.ys[k] + error, plot.log_y && panel == 0);
    }
  }
  const bool last = panel + 1 == plot.panels();
  const std::string y_label = plot.y_label(panel);
  out << "set xlabel " << quoted(last ? plot.x_label : "") << "\nset ylabel " << quoted(y_label)
      << "\n";
  const bool labels =
      std::ranges::any_of(plot.curves, [](const Curve& curve) { return !curve.labels.empty(); });
  x.set(out, "x", labels ? 0.1 : 0.03, plot.log_x);
  y.set(out, "y", 0.06, plot.log_y && panel == 0);
  out << (plot.log_y && panel == 0 ? "set logscale y\n" : "unset logscale y\n");
  std::string plots, key = "unset key\n";
  for (std::size_t i = 0; i < plot.curves.size(); ++i) {
    const Curve& curve = plot.curves[i];
    if (curve.panel != panel) continue;
    // Of a curve that is alone with its labels a legend says nothing.
    if (curve.name != y_label && (curve.labels.empty() || curves > 1)) {
      key = "set key outside top center horizontal Left reverse samplen 4 spacing 1.2 width 1\n";
    }
    std::ostringstream style = commands();
    const std::string data = text("$curve", i);
    const std::string colour = text(" linecolor rgb '", colours[i % colours.size()], "'");
    style << (plots.empty() ? "plot " : ", ") << data;
    if (curve.mark == Mark::arrows) {
      style << " using 1:2:3:4 with vectors head filled size screen 0.008,22 linewidth 1.2"
            << colour;
    } else {
      style << " using 1:2 with " << (curve.mark == Mark::points ? "points" : "linespoints")
            << " pointtype " << marks[i % marks.size()] << " pointsize "
            << (curve.mark == Mark::points ? 1.2 : 0.8);
      if (curve.mark == Mark::line) {
        style << " linewidth 2 dashtype " << dashes[i % dashes.size()];
        const std::size_t many = curve.xs.size() / most_marked_points;
        if (many > 0) style << " pointinterval " << 3 * many + i % 3;
      }
      style << colour;
    }
    style << " title " << quoted(curve.name);
    if (!curve.errors.empty())
      style << ", " << data << " using 1:2:3 with yerrorbars pointtype 0 linewidth 1.2" << colour
            << " notitle";
    if (!curve.labels.empty()) {
      // Above and below in turn, so that those of neighbours are apart.
      constexpr std::array<const char*, 2> corners = {"left offset char 0.7,0.6",
                                                      "right offset char -0.7,-0.7"};
      for (std::size_t k = 0; k < corners.size(); ++k) {
        style << ", " << data << " every " << corners.size() << "::" << k
              << " using 1:2:(stringcolumn(4)) with labels " << corners[k]
              << " textcolor rgb '#333333' notitle";
      }
    }
    plots += style.str();
  }
  out << key << plots << "\n";
}

std::string script(const Plot& plot, const Kind& kind) {
  std::ostringstream out = commands();
  const int panels = plot.panels();
  const double width = plot.equal_axes ? 760 : 960;
  const double height = plot.equal_axes ? 800 : panels == 1 ? 600 : 120 + 330 * panels;
  set_terminal(out, kind, width, height);
  out << "set style line 100 linecolor rgb '#dddddd' linewidth 1\n"
         "set grid back linestyle 100\n"
         "set tics nomirror out scale 0.5 textcolor rgb '#333333'\n"
         "set border 3 linecolor rgb '#888888'\n";
  if (plot.log_x) out << "set logscale x\n";
  if (plot.equal_axes) out << "set size ratio -1\n";
  for (std::size_t i = 0; i < plot.curves.size(); ++i) {
    const Curve& curve = plot.curves[i];
    const auto drawn = [&](std::size_t k) {
      return std::isfinite(curve.xs[k]) && std::isfinite(curve.ys[k]);
    };
    out << "$curve" << i << " << end_of_curve\n";
    for (std::size_t k = 0; k < curve.xs.size(); ++k) {
      const double x = curve.xs[k], y = curve.ys[k];
      if (curve.mark == Mark::arrows) {
        if (k % 2 == 0 && k + 1 < curve.xs.size() && drawn(k) && drawn(k + 1))
          out << x << ' ' << y << ' ' << curve.xs[k + 1] - x << ' ' << curve.ys[k + 1] - y << '\n';
        continue;
      }
      if (!drawn(k)) {
        out << '\n';  // An empty line breaks the curve.
        continue;
      }
      const double error = curve.errors.empty() ? 0 : curve.errors[k];
      out << x << ' ' << y << ' ' << (std::isfinite(error) ? error : 0) << ' '
          << field(curve.labels.empty() ? "" : curve.labels[k]) << '\n';
    }
    out << "end_of_curve\n";
  }
  // In one column, so that they share the x axis, and the legend stands below the title.
  out << "set multiplot layout " << panels << ",1 title " << quoted(plot.title) << " font ',14'\n";
  if (panels > 1) out << "set lmargin 12\n";
  for (int panel = 0; panel < panels; ++panel) draw_panel(out, plot, panel);
  out << "unset multiplot\n";
  return out.str();
}

/// The longest of some texts, in pixels of the font that is drawn with, about.
double text_width(const std::vector<std::string>& texts) {
  int letters = 0;
  for (const std::string& t : texts) letters = std::max(letters, columns_of(t));
  return 10.0 * letters;
}

std::string script(const Picture& picture, const Kind& kind) {
  const std::int64_t wanted = 840;  // Pixels, for the longer side.
  const std::int64_t longer =
      std::max({picture.image.width, picture.image.height, std::int64_t{1}});
  const std::int64_t times = std::max<std::int64_t>(wanted / longer, 1);
  const GreyImage image = enlarged(picture.image, times);
  const auto wide = static_cast<double>(image.width), high = static_cast<double>(image.height);
  const bool bar = !picture.black.empty() || !picture.white.empty();
  const double left = 24 + text_width(picture.rows);
  const double right = bar ? 74 + text_width({picture.black, picture.white}) : 24;
  const double title_width = text_width({picture.title});
  const double top = (picture.title.empty() ? 20 : 56) + (picture.columns.empty() ? 0 : 24);
  const double width = std::max(left + wide + right, title_width + 40), height = top + high + 24;

  std::ostringstream out = commands();
  set_terminal(out, kind, width, height);
  out << "set lmargin at screen " << left / width << "\nset rmargin at screen "
      << (left + wide) / width << "\nset tmargin at screen " << 1 - top / height
      << "\nset bmargin at screen " << 24 / height
      << "\nset border 0\nunset key\nset tics scale 0\nunset xtics\nunset ytics\n"
      << "set palette gray\nset cbrange [0:255]\nset xrange [0:" << wide
      << "]\nset yrange [0:" << high << "]\n";
  if (!picture.title.empty()) {
    out << "set label " << quoted(picture.title) << " font ',14' center at screen "
        << std::max((left + wide / 2) / width, title_width / 2 / width + 0.02) << ", screen "
        << 1 - 24 / height << "\n";
  }
  const auto named = [&](const char* tics, const std::vector<std::string>& names, double length,
                         bool downwards) {
    for (std::size_t k = 0; k < names.size(); ++k) {
      const double at = (static_cast<double>(k) + 0.5) / static_cast<double>(names.size());
      out << (k == 0 ? text("set ", tics, " (") : ", ") << quoted(names[k]) << ' '
          << length * (downwards ? 1 - at : at);
    }
    if (!names.empty()) out << ")\n";
  };
  named("ytics", picture.rows, high, true);
  named("x2tics", picture.columns, wide, false);
  if (bar) {
    out << "set cbtics (" << quoted(picture.black) << " 0, " << quoted(picture.white)
        << " 255)\nset colorbox user origin " << (left + wide + 20) / width << ',' << 24 / height
        << " size " << 18 / width << ',' << high / height << "\n";
  } else {
    out << "unset colorbox\n";
  }
  if (!picture.columns.empty()) out << "set x2range [0:" << wide << "]\n";
  out << "plot '-' binary array=(" << image.width << ',' << image.height
      << ") flip=y format='%uchar' origin=(0.5,0.5) using 1 with image\n";
  return out.str() + std::string(image.pixels.begin(), image.pixels.end());
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

/// Whether the file ends as its kind does; on a full disk gnuplot stops early and says nothing.
bool is_whole(const std::string& path, std::string_view end) {
  constexpr long most = 64;
  std::array<char, most> last{};
  const FileHandle file = open_file(path, "rb");
  if (std::fseek(file.get(), 0, SEEK_END) != 0) return false;
  std::fseek(file.get(), -std::min(most, std::ftell(file.get())), SEEK_END);
  std::string_view found(last.data(), std::fread(last.data(), 1, last.size(), file.get()));
  while (found.ends_with('\n')) found.remove_suffix(1);
  return found.ends_with(end);
}

/// A drawing of the same data is the same file: the time that cairo notes in a PDF is made one
/// time.
void undate(const std::string& path) {
  std::string content;
  {
    const FileHandle file = open_file(path, "rb");
    std::array<char, 65536> block{};
    while (const std::size_t n = std::fread(block.data(), 1, block.size(), file.get()))
      content.append(block.data(), n);
  }
  format::remove_time(content);
  const FileHandle file = open_file(path, "wb");
  if (std::fwrite(content.data(), 1, content.size(), file.get()) != content.size() ||
      std::fflush(file.get()) != 0)
    file_error(path, "cannot be written: " + system_reason());
}

void draw(const std::string& path, const Kind& kind, const std::string& script) {
  AtomicFile file(path);
  const FileHandle input = temporary_file(path);
  const FileHandle messages = temporary_file(path);
  if (std::fwrite(script.data(), 1, script.size(), input.get()) != script.size() ||
      std::fflush(input.get()) != 0) {
    file_error(path, "cannot be drawn: " + system_reason());
  }
  std::rewind(input.get());
  const int status = run_gnuplot(path, input.get(), file.temporary(), messages.get());
  if (status != 0) {
    const std::string said = complaint(messages.get());
    if (said.find("terminal type") != std::string::npos)
      throw NoPlotter(text(printable(path), ": cannot be drawn: this gnuplot has no terminal ",
                           kind.terminal, "; apt-get install gnuplot-nox"));
    file_error(path, "cannot be drawn: gnuplot says: " + said);
  }
  if (!is_whole(file.temporary(), kind.end)) {
    file_error(path, "cannot be written: gnuplot stopped early; the disk may be full");
  }
  if (kind.end == "%%EOF") undate(file.temporary());
  file.commit();
}

void require_one_each(const Curve& curve, std::size_t count, const char* what) {
  if (count == curve.xs.size()) return;
  throw TypeError(text("plot_curves: the curve '", curve.name, "' has ", curve.xs.size(),
                       " xs and ", count, ' ', what));
}

}  // namespace

int Plot::panels() const {
  int most = 0;
  for (const Curve& curve : curves) most = std::max(most, curve.panel);
  return most + 1;
}

std::string Plot::y_label(int panel) const {
  const auto at = static_cast<std::size_t>(panel);
  if (at < y_labels.size() && !y_labels[at].empty()) return y_labels[at];
  const auto here = [&](const Curve& curve) { return curve.panel == panel; };
  if (std::ranges::count_if(curves, here) != 1) return "";
  return std::ranges::find_if(curves, here)->name;
}

void require_drawable(const Plot& plot) {
  if (plot.curves.empty()) throw TypeError("plot_curves: there is no curve to draw");
  for (const Curve& curve : plot.curves) {
    require_one_each(curve, curve.ys.size(), "ys");
    if (!curve.errors.empty()) require_one_each(curve, curve.errors.size(), "errors");
    if (!curve.labels.empty()) require_one_each(curve, curve.labels.size(), "labels");
    if (curve.panel < 0 || curve.panel > 99)
      throw TypeError(text("plot_curves: the curve '", curve.name, "' is in panel ", curve.panel,
                           ", which is none of 0 to 99"));
  }
}

void plot_curves(const std::string& path, const Plot& plot) {
  require_drawable(plot);
  const Kind& kind = kind_of("plot_curves", path);
  draw(path, kind, script(plot, kind));
}

void plot_picture(const std::string& path, const Picture& picture) {
  const Kind& kind = kind_of("plot_picture", path);
  if (picture.image.pixels.empty()) throw TypeError("plot_picture: the image is empty");
  draw(path, kind, script(picture, kind));
}

}  // namespace cinch

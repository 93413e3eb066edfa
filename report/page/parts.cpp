#include "cinch/report/page/parts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <sstream>
#include <string_view>
#include <vector>

namespace cinch::page {

namespace {

/// The length of the UTF-8 sequence at the start of `s`; 0 where there is none that HTML may hold.
std::size_t sequence(std::string_view s) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(s[k]); };
  const unsigned first = byte(0);
  if (first < 0x80)
    return first < ' ' && first != '\n' && first != '\t' ? 0 : first == 0x7f ? 0 : 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || s.size() < length) return 0;
  std::uint32_t code = first & (0x7fU >> length);
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(k) & 0xc0U) != 0x80) return 0;
    code = code << 6 | (byte(k) & 0x3fU);
  }
  const bool too_long = length == 3 ? code < 0x800 : length == 4 && code < 0x10000;
  const bool none = code < 0xa0 || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff ||
                    (code & 0xfffe) == 0xfffe;
  return too_long || none ? 0 : length;
}

/// With what is no character replaced.
std::string clean(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t length = sequence(text);
    if (length == 0) {
      result += "\xef\xbf\xbd";
    } else {
      result += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

/// The beginning of a text that keeps its last character whole.
std::string beginning(const std::string& text, std::size_t letters) {
  while (letters > 0 && (static_cast<unsigned char>(text[letters]) & 0xc0) == 0x80) --letters;
  return text.substr(0, letters);
}

std::string digits(double value, int count = 4) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.precision(count);
  out << value;
  return out.str();
}

/// 2000 -> "2 kflop"
std::string human(double value, const char* unit) {
  constexpr std::array<const char*, 5> prefixes = {"", "k", "M", "G", "T"};
  std::size_t k = 0;
  for (; std::abs(value) >= 1000 && k + 1 < prefixes.size(); ++k) value /= 1000;
  return digits(value, 3) + " " + prefixes[k] + unit;
}

std::string limit(const std::string& what) {
  return "<p class=\"limit\">" + escaped(what) + "</p>\n";
}

std::string preformatted(const std::string& text, const Limits& limits) {
  if (text.size() <= limits.letters) return "<pre>" + escaped(text) + "</pre>\n";
  return "<pre>" + escaped(beginning(text, limits.letters)) + "</pre>\n" +
         limit(cinch::text("Shortened to keep the file small: the first ", limits.letters, " of ",
                           text.size(), " bytes."));
}

std::string details(const std::string& summary, const std::string& html) {
  return "<details><summary>" + escaped(summary) + "</summary>\n" + html + "</details>\n";
}

// ---- tables ----

std::string row(const char* cell, const std::vector<std::string>& values) {
  std::string result = "<tr>";
  for (const std::string& value : values)
    result += text("<", cell, ">", escaped(value), "</", cell, ">");
  return result + "</tr>\n";
}

std::string html(const Table& table, const Limits& limits) {
  std::string result = "<div class=\"wide\"><table>\n";
  if (!table.header.empty()) result += row("th", table.header);
  std::size_t shown = 0, letters = 0;
  for (const auto& cells : table.rows) {
    if (cells.size() != table.header.size())
      throw TypeError(text("write_report: a table of ", table.header.size(),
                           " columns has a row of ", cells.size()));
    for (const std::string& cell : cells) letters += cell.size();
    if (shown >= limits.rows || letters > limits.letters) continue;
    result += row("td", cells);
    ++shown;
  }
  result += "</table></div>\n";
  if (shown < table.rows.size())
    result += limit(text("Shortened to keep the file small: the first ", shown, " of ",
                         table.rows.size(), " rows."));
  return result;
}

// ---- curves ----

/// A text as JSON that may stand inside <script>.
std::string json(const std::string& value) {
  std::string result = "\"";
  for (const char c : clean(value)) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '<') {
      result += "\\u003c";
    } else {
      result += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  return result + '"';
}

std::string json(double value) { return std::isfinite(value) ? digits(value, 6) : "null"; }

template <class T>
std::string json(const std::vector<T>& values, const std::vector<std::size_t>& which) {
  std::string result = "[";
  if (!values.empty()) {
    for (const std::size_t k : which) result += (result.size() > 1 ? "," : "") + json(values[k]);
  }
  return result + "]";
}

/// Which points of a curve are shown: all, or of each of as many stretches the least and the
/// largest, so that no peak is lost.
std::vector<std::size_t> shown_points(const Curve& curve, std::size_t most) {
  std::vector<std::size_t> result;
  const std::size_t count = curve.xs.size(), parts = most / 2;
  if (count <= most || parts == 0) {
    for (std::size_t k = 0; k < std::min(count, most); ++k) result.push_back(k);
    return result;
  }
  if (curve.mark == Mark::arrows) {
    for (std::size_t k = 0; k < parts; ++k) {
      const std::size_t at = k * (count / 2) / parts * 2;
      result.insert(result.end(), {at, at + 1});
    }
    return result;
  }
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t begin = part * count / parts, end = (part + 1) * count / parts;
    std::size_t least = begin, largest = begin;
    for (std::size_t k = begin; k < end; ++k) {
      if (!(curve.ys[least] <= curve.ys[k])) least = k;
      if (!(curve.ys[largest] >= curve.ys[k])) largest = k;
    }
    result.push_back(std::min(least, largest));
    if (least != largest) result.push_back(std::max(least, largest));
  }
  return result;
}

std::string html(const Plot& plot, const Limits& limits) {
  require_drawable(plot);
  const auto truth = [](bool value) { return value ? "true" : "false"; };
  std::string data = "{\"x\":" + json(plot.x_label) + ",\"log_x\":" + truth(plot.log_x) +
                     ",\"log_y\":" + truth(plot.log_y) + ",\"equal\":" + truth(plot.equal_axes) +
                     ",\"panels\":[";
  for (int panel = 0; panel < plot.panels(); ++panel)
    data += (panel > 0 ? "," : "") + json(plot.y_label(panel));
  data += "],\"curves\":[";
  std::string shortened;
  for (std::size_t k = 0; k < plot.curves.size(); ++k) {
    const Curve& curve = plot.curves[k];
    const std::vector<std::size_t> which = shown_points(curve, limits.points);
    if (which.size() < curve.xs.size())
      shortened += limit(text("Made coarser to keep the file small: ", which.size(), " of the ",
                              curve.xs.size(), " points of ", curve.name, "."));
    const char* mark = curve.mark == Mark::line     ? "line"
                       : curve.mark == Mark::points ? "points"
                                                    : "arrows";
    data += text(k > 0 ? ",\n" : "\n", "{\"name\":", json(curve.name), ",\"panel\":", curve.panel,
                 ",\"mark\":\"", mark, "\",\"x\":", json(curve.xs, which),
                 ",\"y\":", json(curve.ys, which), ",\"e\":", json(curve.errors, which),
                 ",\"l\":", json(curve.labels, which), "}");
  }
  return "<figure class=\"plot\"><script type=\"application/json\">" + data +
         "]}</script>\n<div class=\"canvas\"></div>"
         "<noscript>The curves are drawn by a script, which is switched "
         "off.</noscript></figure>\n" +
         shortened;
}

// ---- pictures ----

std::string base64(std::string_view bytes) {
  constexpr std::string_view letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  for (std::size_t k = 0; k < bytes.size(); k += 3) {
    std::uint32_t word = 0;
    for (std::size_t j = k; j < k + 3; ++j)
      word = word << 8 | (j < bytes.size() ? static_cast<unsigned char>(bytes[j]) : 0U);
    for (std::size_t j = 0; j < 4; ++j)
      result += k + j > bytes.size() ? '=' : letters[word >> (18 - 6 * j) & 63];
  }
  return result;
}

/// Of half the width and height: means of four pixels.
GreyImage halved(const GreyImage& image) {
  GreyImage result{(image.width + 1) / 2, (image.height + 1) / 2, {}};
  for (std::int64_t y = 0; y < result.height; ++y) {
    for (std::int64_t x = 0; x < result.width; ++x) {
      unsigned sum = 0, count = 0;
      for (std::int64_t v = 2 * y; v < std::min(2 * y + 2, image.height); ++v) {
        for (std::int64_t u = 2 * x; u < std::min(2 * x + 2, image.width); ++u, ++count)
          sum += image.pixels[static_cast<std::size_t>(v * image.width + u)];
      }
      result.pixels.push_back(static_cast<std::uint8_t>((sum + count / 2) / count));
    }
  }
  return result;
}

std::string html(const Picture& picture, const Limits& limits) {
  GreyImage image = picture.image;
  if (image.pixels.empty()) throw TypeError("write_report: the image of a picture is empty");
  while (image.pixels.size() > limits.pixels && image.pixels.size() > 1) image = halved(image);
  const auto longest = [](const std::vector<std::string>& texts) {
    std::size_t letters = 0;
    for (const std::string& t : texts) letters = std::max(letters, t.size());
    return 8.0 * static_cast<double>(letters);
  };
  const bool bar = !picture.black.empty() || !picture.white.empty();
  const double left = picture.rows.empty() ? 0 : 16 + longest(picture.rows);
  const double top = picture.columns.empty() ? 2 : 22;
  const double room = bar ? 42 + longest({picture.black, picture.white}) : 2;
  // As large as the page allows, but a pixel at most 4 of the screen's.
  const auto original = static_cast<double>(picture.image.width);
  const double scale =
      std::min((816 - left - room) / original,
               std::max(1.0, std::min(4.0, 700.0 / static_cast<double>(picture.image.height))));
  const double wide = original * scale, high = static_cast<double>(picture.image.height) * scale;
  std::ostringstream out;
  out.imbue(std::locale::classic());
  const double width = left + wide + room, height = top + high + 6;
  out << "<figure><svg viewBox=\"0 0 " << width << ' ' << height << "\" width=\"" << width
      << "\" height=\"" << height << "\" role=\"img\">\n<image x=\"" << left << "\" y=\"" << top
      << "\" width=\"" << wide << "\" height=\"" << high
      << "\" preserveAspectRatio=\"none\" style=\"image-rendering: pixelated\" "
         "href=\"data:image/png;base64,"
      << base64(encode_png(image)) << "\"/>\n";
  const auto names = [&](const std::vector<std::string>& texts, bool beside) {
    for (std::size_t k = 0; k < texts.size(); ++k) {
      const double at = (static_cast<double>(k) + 0.5) / static_cast<double>(texts.size());
      out << "<text x=\"" << (beside ? left - 8 : left + at * wide) << "\" y=\""
          << (beside ? top + at * high + 4 : top - 7) << "\" text-anchor=\""
          << (beside ? "end" : "middle") << "\">" << escaped(texts[k]) << "</text>\n";
    }
  };
  names(picture.rows, true);
  names(picture.columns, false);
  if (bar) {
    const double x = left + wide + 14;
    for (int k = 0; k < 32; ++k) {
      out << "<rect x=\"" << x << "\" y=\"" << top + high * k / 32 << "\" width=\"16\" height=\""
          << high / 32 + 0.5 << "\" fill=\"rgb(" << 255 - k * 255 / 31 << ',' << 255 - k * 255 / 31
          << ',' << 255 - k * 255 / 31 << ")\"/>";
    }
    out << "<rect x=\"" << x << "\" y=\"" << top << "\" width=\"16\" height=\"" << high
        << "\" fill=\"none\" stroke=\"#888\"/>\n<text x=\"" << x + 23 << "\" y=\"" << top + 11
        << "\">" << escaped(picture.white) << "</text>\n<text x=\"" << x + 23 << "\" y=\""
        << top + high << "\">" << escaped(picture.black) << "</text>\n";
  }
  out << "</svg></figure>\n";
  std::string result = out.str();
  if (image.width != picture.image.width)
    result += limit(text("Made smaller to keep the file small: ", image.width, " x ", image.height,
                         " of ", picture.image.width, " x ", picture.image.height, " pixels."));
  return result;
}

// ---- audit ----

std::string html(const AuditReport& report, const Limits& limits) {
  std::string result;
  if (report.findings.empty()) result += "<p class=\"good\">Nothing looks like a mistake.</p>\n";
  const auto list = [&](const std::vector<AuditFinding>& all, const char* what) {
    for (const AuditFinding& found : all) {
      const std::string where = found.where.line > 0 ? " (" + found.where.text() + ")" : "";
      result += text("<p class=\"", *what ? "note" : "good", "\">", escaped(found.text + where),
                     "</p>\n");
    }
  };
  list(report.findings, "finding");
  if (!report.notes.empty()) {
    result += "<p class=\"caption\">Good to know, and right as often as not:</p>\n";
    list(report.notes, "");
  }
  return result + details("All that was looked at", preformatted(report.text(), limits));
}

// ---- functions ----

std::string line_of(const std::vector<Expr>& nodes) {
  std::set<std::string> lines;
  for (const Expr& node : nodes) {
    if (node->where.line > 0) lines.insert(node->where.text());
  }
  std::string result;
  std::size_t count = 0;
  for (const std::string& line : lines) {
    if (++count > 2) return result + ", ...";
    result += (result.empty() ? "" : ", ") + line;
  }
  return result;
}

/// Kernels below each other, in the order in which they run, with arcs from each to those that
/// read what it wrote.
std::string graph(const Explanation& f, std::size_t most) {
  const std::size_t count = std::min(f.steps.size(), most);
  constexpr double line = 26, width = 820, box = 200;
  constexpr std::size_t columns = 78;
  std::ostringstream out;
  out.imbue(std::locale::classic());
  const double height = line * static_cast<double>(count) + 8;
  out << "<svg viewBox=\"0 0 " << width << ' ' << height << "\" width=\"" << width << "\" height=\""
      << height << "\" role=\"img\" style=\"font-size: 12px\">\n";
  const auto middle = [&](std::size_t k) { return line * (static_cast<double>(k) + 0.5) + 4; };
  std::map<std::string, std::size_t> writer;
  for (std::size_t k = 0; k < count; ++k) {
    const StepInfo& step = f.steps[k];
    std::string outside;
    for (const std::string& value : std::set<std::string>(step.reads.begin(), step.reads.end())) {
      const auto from = writer.find(value);
      if (from == writer.end()) {
        if (value != "constant") outside += (outside.empty() ? "" : ", ") + value;
        continue;
      }
      const double a = middle(from->second), b = middle(k);
      const double reach = std::min(105.0, 8 + 0.5 * (b - a));
      out << "<path d=\"M" << box - 4 << ',' << a + 5 << "C" << box - 4 - reach << ',' << a + 5
          << ' ' << box - 4 - reach << ',' << b - 5 << ' ' << box - 4 << ',' << b - 5
          << "\" fill=\"none\" stroke=\"#7a8ba0\" stroke-opacity=\".7\"/>\n";
    }
    for (const std::string& value : step.writes) writer[value] = k;
    const char* fill = step.at_commit ? "#f9e0b8" : step.kernel == "loop" ? "#dcefe0" : "#dfeaf7";
    const std::string all = text(k, "  ", step.kernel == "loop" ? "loop: " : "", step.what);
    std::string name = all;
    if (name.size() > columns) name = beginning(name, columns - 3) + "...";
    out << "<g><title>" << escaped(all) << "</title><rect x=\"" << box << "\" y=\""
        << middle(k) - 11 << "\" width=\"" << width - box - 2 << "\" height=\"22\" rx=\"3\" fill=\""
        << fill << "\"/><text x=\"" << box + 8 << "\" y=\"" << middle(k) + 4 << "\">"
        << escaped(name) << "</text></g>\n";
    if (!outside.empty()) {
      if (outside.size() > 16) outside = beginning(outside, 14) + "...";
      out << "<text x=\"2\" y=\"" << middle(k) + 4 << "\" fill=\"#777\">" << escaped(outside)
          << "</text>\n";
    }
  }
  return out.str() + "</svg>\n";
}

std::string html(const Explanation& f, const Limits& limits) {
  std::string result =
      "<figure>" + graph(f, limits.rows) +
      "<figcaption>The kernels of a call, in the order in which they run; an arc leads from each "
      "to those that read what it wrote, and names on the left are what comes from outside. Green: "
      "loops over elements. Blue: other kernels. Orange: updates.</figcaption></figure>\n";
  if (f.steps.size() > limits.rows)
    result += limit(text("Shortened to keep the file small: the first ", limits.rows, " of ",
                         f.steps.size(), " kernels."));
  Table steps{{"", "kernel", "work", "memory", "lines"}, {}};
  for (std::size_t k = 0; k < f.steps.size(); ++k) {
    const StepInfo& step = f.steps[k];
    steps.rows.push_back({text(k), (step.kernel == "loop" ? "loop: " : "") + step.what,
                          human(step.flops, "flop"), human(step.bytes, "B"), line_of(step.nodes)});
  }
  return result + details("The kernels as a table", html(steps, limits)) +
         details("In words: rules, contractions, kernels, memory", preformatted(f.text(), limits));
}

std::string html(const std::string& text, const Limits& limits) {
  return preformatted(text, limits);
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : clean(text)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string section(const ReportPart& part, const Limits& limits) {
  std::string result = "<section>\n";
  result += std::visit([&](const auto& shown) { return html(shown, limits); }, part.shown);
  if (!part.caption.empty()) result += "<p class=\"caption\">" + escaped(part.caption) + "</p>\n";
  return result + "</section>\n";
}

}  // namespace cinch::page

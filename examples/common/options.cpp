// What all programs do with their options: help, files of options, and what is said of mistakes.
#include "common/options.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <sstream>
#include <utility>

#include "commit.hpp"
#include "common/common.hpp"

namespace cinch::examples {

namespace {

/// A validator of finite numbers that are `what`.
CLI::Validator finite(bool (*good)(double), const char* what) {
  return CLI::Validator(
      [=](const std::string& given) {
        double x = 0;
        const bool number = CLI::detail::lexical_cast(given, x) && std::isfinite(x);
        return number && good(x) ? "" : given + " is not " + what;
      },
      what);
}

}  // namespace

CLI::Validator above_zero() {
  return finite([](double x) { return x > 0; }, "a number above 0");
}

CLI::Validator not_negative() {
  return finite([](double x) { return x >= 0; }, "a number from 0 on");
}

bool is_flag(const CLI::Option& option) { return option.get_items_expected_max() == 0; }

bool is_set(const CLI::Option& flag) { return flag.count() > 0 && flag.as<bool>(); }

std::string configuration_of(const CLI::App& app) {
  std::istringstream in(app.config_to_str(/*default_also=*/true));
  std::string result;
  for (std::string line; std::getline(in, line);) {
    const CLI::Option* option = app.get_option_no_throw("--" + line.substr(0, line.find('=')));
    const bool none = !option || (is_flag(*option) ? !is_set(*option) : line.ends_with("=\"\""));
    if (!none) result += line + '\n';
  }
  return result;
}

namespace {

/// Letters to change, add or leave out to make one of the other.
std::size_t edits(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t k = 0; k < row.size(); ++k) row[k] = k;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t corner = std::exchange(row[0], i);
    for (std::size_t k = 1; k <= b.size(); ++k) {
      const std::size_t changed = corner + (a[i - 1] != b[k - 1] ? 1 : 0);
      corner = std::exchange(row[k], std::min({changed, row[k] + 1, row[k - 1] + 1}));
    }
  }
  return row.back();
}

/// "; did you mean --epochs?" where an option is near. In a file names stand without dashes.
std::string suggestion(const CLI::App& app, const std::string& given, bool dashes) {
  const std::string word = given.substr(0, given.find('='));
  std::string nearest;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const CLI::Option* option : app.get_options()) {
    if (!dashes && !option->get_configurable()) continue;
    const std::string name = dashes ? option->get_name() : option->get_single_name();
    // The beginning of a name is as near as can be.
    const bool begins = word.size() > (dashes ? 3 : 1) && name.starts_with(word);
    const std::size_t distance = begins ? 0 : edits(word, name);
    if (distance >= least) continue;
    least = distance;
    nearest = name;
  }
  return nearest.empty() ? "" : "; did you mean " + nearest + "?";
}

/// CLI11's reader of files, made to name the file and the line that it does not know.
class OptionsFile : public CLI::ConfigTOML {
 public:
  explicit OptionsFile(const CLI::App& app) : app_(app) {
    commentChar = '\n';  // Comments are taken out here: within quotes # is a character.
  }

  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override {
    const std::string file = printable(app_.get_config_ptr()->as<std::string>());
    std::stringstream plain;
    for (std::string line; std::getline(in, line);) plain << without_comment(line) << '\n';
    std::vector<CLI::ConfigItem> found = CLI::ConfigTOML::from_config(plain);
    for (const CLI::ConfigItem& item : found) {
      const std::string name = printable(item.fullname());
      if (!item.parents.empty())
        throw refusal(file + ": [" + printable(item.parents[0]) +
                      "]: options stand in no section here");
      const CLI::Option* option = app_.get_option_no_throw("--" + item.name);
      if (!option)
        throw refusal(file + ": " + name + " is no option" + suggestion(app_, name, false));
      if (!option->get_configurable())
        throw refusal(file + ": " + name + " is for the command line alone");
      if (item.inputs.empty()) throw refusal(file + ": " + name + " has no value");
      read_.push_back(item.name);
    }
    return found;
  }

  /// Options that the file has.
  const std::vector<std::string>& read() const { return read_; }

 private:
  static CLI::ConfigError refusal(const std::string& what) {
    return {what, CLI::ExitCodes::ConfigError};
  }
  static std::string without_comment(const std::string& line) {
    char quote = 0;
    for (std::size_t at = 0; at < line.size(); ++at) {
      const char c = line[at];
      if (quote == 0 && c == '#') return line.substr(0, at);
      if (c == quote) {
        quote = 0;
      } else if (quote == 0 && (c == '"' || c == '\'')) {
        quote = c;
      }
    }
    return line;
  }

  const CLI::App& app_;
  mutable std::vector<std::string> read_;
};

/// Paragraphs of a comment; what is indented keeps its lines.
std::string paragraphs(const std::string& comment) {
  std::istringstream in(comment);
  std::string result;
  bool open = false;  // A paragraph, in which lines are joined.
  for (std::string line; std::getline(in, line);) {
    const bool prose = !line.empty() && line[0] != ' ';
    if (!result.empty()) result += prose && open ? ' ' : '\n';
    result += line;
    open = prose;
  }
  return result;
}

/// Help of at most 80 columns.
class Folded : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override {
    std::istringstream in(CLI::Formatter::make_help(app, std::move(name), mode));
    std::string result;
    for (std::string line; std::getline(in, line);) {
      // Goes on below the text: where an option is explained, in the column of explanations.
      const int column = static_cast<int>(get_column_width());
      const int first = static_cast<int>(std::min(line.find_first_not_of(' '), line.size()));
      const bool explained = line.starts_with("  -") || first >= column;
      // What an option may be is one word to CLI11.
      const std::size_t choices = columns_of(line) > 80 ? line.find('{') : std::string::npos;
      for (std::size_t at = choices; at < line.size(); ++at)
        if (line[at] == ',') line.insert(++at, 1, ' ');
      result += folded(line, 80, explained ? column : first > 0 ? first + 4 : 0) + '\n';
    }
    return result;
  }
};

/// What CLI11 says, and where an option that it speaks of stands in the file alone, that file.
std::string text_of(const CLI::ParseError& error, const CLI::App& app, const OptionsFile& file,
                    const std::vector<std::string>& given) {
  std::string what = error.what();
  for (const std::string& option : file.read()) {
    const std::string name = "--" + option;
    const std::size_t at = what.find(name);
    if (at == std::string::npos) continue;
    const char next = at + name.size() < what.size() ? what[at + name.size()] : ' ';
    if (next == '-' || std::isalnum(static_cast<unsigned char>(next))) continue;
    if (std::ranges::any_of(given, [&](const std::string& word) {
          return word == name || word.starts_with(name + "=");
        }))
      continue;
    return printable(app.get_config_ptr()->as<std::string>() + ": " + what);
  }
  return printable(what);
}

constexpr const char* exit_codes =
    "Exit codes: 0 done; 1 an error; 130 interrupted, and --resume goes on; above 100 options that "
    "make no sense (103 a file of options that cannot be read, 109 an option that does not exist, "
    "110 one in a file).";
constexpr const char* always_written =
    "Always written to the output folder as well: run.txt and run.ini, which say what the run was "
    "asked for (--config run.ini asks for it again), a log of each training, *log.csv, and what "
    "--resume goes on from, *checkpoint.npz; results.md with the figures; what was learned, "
    "*parameters.npz; each .png also as .svg and .pdf, for papers; with --report one page of it "
    "all, report.html; with --tensorboard the folder tensorboard.\n";

}  // namespace

std::optional<int> parse(const char* name, CLI::App& app, int argc, char** argv) {
  for (CLI::Option* option : app.get_options()) {
    if (!is_flag(*option) && option->get_default_str().empty()) option->capture_default_str();
    if (option->get_default_str() == "[]") option->default_str("");  // No element is no default.
  }
  app.set_version_flag("--version", text(name, " (Cinch) ", version(), "\nCommit ", commit_of_build,
                                         ". Licence: BSD 3-clause."));
  app.set_config("--config", "", "Read options from this file, as run.ini has them");
  const auto file = std::make_shared<OptionsFile>(app);
  app.config_formatter(file);
  app.description(paragraphs(about()));
  app.formatter(std::make_shared<Folded>());
  const bool writes = app.get_option_no_throw("--output") != nullptr;
  app.footer((writes ? always_written : "") + std::string(exit_codes));
  app.allow_extras();  // To say more of them than that they were not expected.
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    const std::vector<std::string> given(argv + 1, argv + argc);
    std::fprintf(stderr, "%s: %s\nRun with --help for all options.\n", name,
                 text_of(error, app, *file, given).c_str());
    return error.get_exit_code();
  }
  const std::vector<std::string> extras = app.remaining();
  for (const std::string& extra : extras) {
    const bool option = extra.starts_with("-");
    std::fprintf(stderr, "%s: %s is no %s%s\n", name, printable(extra).c_str(),
                 option ? "option" : "value that is expected",
                 option ? suggestion(app, extra, true).c_str() : "");
  }
  if (extras.empty()) return std::nullopt;
  std::fprintf(stderr, "Run with --help for all options.\n");
  return static_cast<int>(CLI::ExitCodes::ExtrasError);
}

}  // namespace cinch::examples

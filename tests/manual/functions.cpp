// docs/manual/functions.md: every public function, read from the headers.
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/public_functions.hpp"

namespace {

struct Declared {
  std::string name;        ///< "sum", "schedule::cosine", "Shared::get"
  std::string parameters;  ///< "x, axes, keepdims"
  std::string says;        ///< Its comment.
  bool member = false;     ///< Of a class: where it has no comment, its name says it.
};

struct Header {
  std::string path;  ///< "ops/reduce"
  std::string says;  ///< The first sentence of the file.
  std::vector<Declared> functions = {};
};

/// Up to the end of the first sentence, without the full stop: before a capital, as "et al. 2014"
/// is none.
std::string first_sentence(const std::string& text) {
  for (std::size_t k = 0; k < text.size(); ++k) {
    if (text[k] != '.') continue;
    const bool last = k + 1 == text.size();
    if (last || (k + 2 < text.size() && text[k + 1] == ' ' && !std::islower(text[k + 2])))
      return text.substr(0, k);
  }
  return text;
}

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// The position after the bracket that closes the one at `open`.
std::size_t after_closing(std::string_view text, std::size_t open) {
  int depth = 0;
  for (std::size_t k = open; k < text.size(); ++k) {
    if (std::string_view("([{").find(text[k]) != std::string_view::npos) ++depth;
    if (std::string_view(")]}").find(text[k]) != std::string_view::npos && --depth == 0)
      return k + 1;
  }
  return text.size();
}

/// The name that a declaration declares as a function, and what is in its parentheses; "" for
/// others.
std::pair<std::string, std::string> function_in(const std::string& text) {
  if (const auto at = text.find("operator"); at != std::string::npos && text.find("friend") != 0) {
    // operator()(...) has two pairs.
    auto open = text.find('(', at);
    if (open != std::string::npos && text.compare(at, 10, "operator()") == 0)
      open = text.find('(', open + 2);
    if (open == std::string::npos) return {};
    std::string name = text.substr(at, open - at);
    return {name, text.substr(open + 1, after_closing(text, open) - open - 2)};
  }
  int angles = 0;
  for (std::size_t k = 0; k < text.size(); ++k) {
    if (text[k] == '<') ++angles;
    if (text[k] == '>') --angles;
    if (text[k] == '=' && angles == 0) return {};  // A variable.
    if (text[k] != '(' || angles > 0) continue;
    std::size_t begin = k;
    while (begin > 0 && is_name(text[begin - 1])) --begin;
    if (begin > 0 && text[begin - 1] == ':') return {};  // Of a class, defined outside of it.
    const std::string name = text.substr(begin, k - begin);
    const std::size_t end = after_closing(text, k);
    if (name == "requires" || name == "decltype" || name == "explicit" || name == "attribute") {
      k = end - 1;
      continue;
    }
    if (name.empty() || name == "static_assert") return {};
    return {name, text.substr(k + 1, end - k - 2)};
  }
  return {};
}

/// The names of parameters, without the caller's line.
std::string names_of(const std::string& parameters) {
  std::string result;
  int depth = 0;
  std::string one;
  const auto add = [&] {
    std::string text = one.substr(0, one.find('='));
    while (!text.empty() && !is_name(text.back())) text.pop_back();
    std::size_t begin = text.size();
    while (begin > 0 && is_name(text[begin - 1])) --begin;
    const std::string name = text.substr(begin);
    const bool unnamed = begin == 0 || text.find_first_of(" &*>") >= begin;
    if (!name.empty() && !unnamed && name != "where") result += (result.empty() ? "" : ", ") + name;
    one.clear();
  };
  for (const char c : parameters) {
    if (std::string_view("([{<").find(c) != std::string_view::npos) ++depth;
    if (std::string_view(")]}>").find(c) != std::string_view::npos) --depth;
    if (c == ',' && depth == 0) {
      add();
    } else {
      one += c;
    }
  }
  add();
  return result;
}

std::string stripped(const std::string& line) {
  const auto begin = line.find_first_not_of(' ');
  if (begin == std::string::npos) return "";
  return line.substr(begin, line.find_last_not_of(' ') - begin + 1);
}

/// What stands around a declaration: a namespace, or a class whose part this is.
struct Scope {
  std::string prefix;
  bool is_class = false, visible = true;
};

class Reader {
 public:
  explicit Reader(Header& header) : header_(header) {}

  void line(const std::string& whole) {
    std::string text = stripped(whole);
    if (text.starts_with("///") && !text.starts_with("///<")) {
      if (!in_comment_) comment_.clear();
      in_comment_ = true;
      comment_ += (comment_.empty() ? "" : " ") + stripped(text.substr(3));
      return;
    }
    in_comment_ = false;
    std::string behind;
    if (const auto at = text.find("//"); at != std::string::npos) {
      if (text.compare(at, 4, "///<") == 0) behind = stripped(text.substr(at + 4));
      text = stripped(text.substr(0, at));
    }
    if (text.empty() && !behind.empty() && last_) *last_ += " " + behind;  // A comment's next line.
    if (stripped(whole).empty() && declaration_.empty()) {
      comment_.clear();
      paragraph_.clear();
    }
    if (text.empty() || text[0] == '#') return;
    if (body_ == 0 && declaration_.empty() && (text == "public:" || text == "private:")) {
      scopes_.back().visible = text == "public:";
      return;
    }
    for (const char c : text) next(c);
    if (declaration_.empty() || declaration_.back() != ' ') declaration_ += ' ';
    if (stripped(declaration_).empty()) declaration_.clear();
    if (last_ && !behind.empty()) *last_ = behind;
  }

 private:
  void next(char c) {
    if (body_ > 0) {  // Of a function, or an initialiser.
      body_ += c == '{' ? 1 : c == '}' ? -1 : 0;
      if (body_ == 0 && !initialiser_) declaration_.clear();
      return;
    }
    parentheses_ += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == '{' && parentheses_ == 0) {
      open();
    } else if (c == '}' && parentheses_ == 0) {
      if (!scopes_.empty()) scopes_.pop_back();
      declaration_.clear();
    } else if (c == ';' && parentheses_ == 0) {
      declare();
      declaration_.clear();
    } else {
      declaration_ += c;
    }
  }

  void open() {
    const std::string text = stripped(declaration_);
    const std::string prefix = scopes_.empty() ? "" : scopes_.back().prefix;
    const bool visible = scopes_.empty() || scopes_.back().visible;
    std::istringstream words(text);
    std::string word, name;
    words >> word;
    if (word == "template") {  // Of a class or a function.
      const auto at = text.find("> ");
      words = std::istringstream(at == std::string::npos ? text : text.substr(at + 2));
      words >> word;
    }
    words >> name;
    if (name == "CINCH_PUBLIC") words >> name;
    if (word == "namespace") {
      scopes_.push_back({name == "cinch" ? "" : prefix + name + "::", false, visible});
      declaration_.clear();
    } else if (word == "class" || word == "struct" || word == "enum") {
      scopes_.push_back({prefix + name + "::", true, visible && word == "struct"});
      if (word == "enum") scopes_.back().visible = false;
      declaration_.clear();
      paragraph_ = std::exchange(comment_, "");
    } else {
      initialiser_ = function_in(text).first.empty();
      if (!initialiser_) declare();
      body_ = 1;
    }
  }

  void declare() {
    last_ = nullptr;
    const std::string text = stripped(declaration_);
    std::string says = std::exchange(comment_, "");
    if (scopes_.empty() || !scopes_.back().visible) return;
    for (const char* other : {"friend ", "using ", "typedef ", "extern "}) {
      if (text.starts_with(other)) return;
    }
    if (text.ends_with("= delete") || text.ends_with("= default")) return;
    auto [name, parameters] = function_in(text);
    const std::string& prefix = scopes_.back().prefix;
    // Constructors and destructors belong to their class.
    if (name.empty() || prefix.ends_with(name + "::") || text.find('~' + name) != std::string::npos)
      return;
    if (name == "operator==" || name == "operator!=" || name == "operator<<") return;
    // A comment speaks of all that stands below it up to an empty line.
    const bool member = scopes_.back().is_class;
    if (!member) says.empty() ? says = paragraph_ : paragraph_ = says;
    header_.functions.push_back({prefix + name, names_of(parameters), says, member});
    last_ = &header_.functions.back().says;
  }

  Header& header_;
  std::vector<Scope> scopes_;
  std::string comment_, paragraph_, declaration_;
  std::string* last_ = nullptr;  // What the last function says.
  bool in_comment_ = false, initialiser_ = false;
  int parentheses_ = 0, body_ = 0;
};

Header read_header(const std::string& path) {
  Header result{path.substr(0, path.rfind('.')), ""};
  std::ifstream in(CINCH_SOURCE_DIR "/" + path);
  Reader reader(result);
  bool first = true;
  for (std::string line; std::getline(in, line);) {
    if (first && line.starts_with("// ")) {
      result.says += (result.says.empty() ? "" : " ") + line.substr(3);
    } else {
      first = false;
      reader.line(line);
    }
  }
  result.says = first_sentence(result.says);
  return result;
}

std::vector<Header> read_headers() {
  std::vector<Header> result;
  for (const char* folder :
       {"core", "ops", "models", "optim", "train", "audit", "io", "report", "exchange"}) {
    std::vector<std::string> paths;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::string(CINCH_SOURCE_DIR "/") + folder)) {
      if (entry.path().extension() == ".hpp")
        paths.push_back(std::string(folder) + "/" + entry.path().filename().string());
    }
    std::ranges::sort(paths);
    for (const std::string& path : paths) {
      Header header = read_header(path);
      std::erase_if(header.functions, [](const Declared& f) { return f.member && f.says.empty(); });
      if (!header.functions.empty()) result.push_back(std::move(header));
    }
  }
  return result;
}

/// What a header leaves to the name, or says for several at once.
const std::map<std::string, std::string>& known_by_name() {
  static const auto all = [] {
    std::map<std::string, std::string> result{
        {"exp", "e to the power x"},
        {"log", "The natural logarithm"},
        {"sin", "Sine, in radians"},
        {"cos", "Cosine, in radians"},
        {"tan", "Tangent, in radians"},
        {"tanh", "Hyperbolic tangent"},
        {"sinh", "Hyperbolic sine"},
        {"cosh", "Hyperbolic cosine"},
        {"arcsinh", "Inverse of sinh"},
        {"square", "x times x"},
        {"sqrt", "The square root"},
        {"minimum", "The smaller; NaN if either is"},
        {"ceil", "Rounded up"},
        {"operator-", "Difference of elements; of one operand, its negative"},
        {"operator*", "Product of elements; that of matrices is dot()"},
        {"operator+=", "Lets the variable hold another expression, the sum"},
        {"operator-=", "The same with the difference"},
        {"operator*=", "The same with the product"},
        {"operator/=", "The same with the quotient"},
        {"operator<", "Whether elements are less, a formula"},
        {"operator<=", "Whether elements are less or equal"},
        {"operator>", "Whether elements are greater"},
        {"operator>=", "Whether elements are greater or equal"},
        {"equal", "Whether elements are equal"},
        {"not_equal", "Whether elements differ"},
        {"logical_and", "Whether both are true; also a && b"},
        {"logical_or", "Whether one or both are true; also a || b"},
        {"logical_not", "Whether it is false; also !a"},
        {"logical_xor", "Whether one of them is true"},
        {"scalar", "A symbolic number, float32 unless said otherwise"},
        {"vector", "A symbolic vector, float32 unless said otherwise"},
        {"matrix", "A symbolic matrix, float32 unless said otherwise"},
        {"tensor3", "A symbolic tensor of three axes"},
        {"is_variable", "Whether an expression is a symbolic input"},
        {"is_shared", "Whether an expression is a shared variable"},
        {"is_float", "Whether elements are float32 or float64"},
        {"dtype_of", "The DType of a C++ type"},
        {"type_of", "The type that a tensor has as a formula"},
        {"to_dims", "Known sizes as sizes of a type"},
        {"explain", "How a function runs for the sizes it was last called with"},
        {"profile", "Where the time of a function's calls went"},
        {"named", "Variables with names that differ"},
        {"read_npy", "The array of a .npy file"},
        {"read_idx", "An IDX file as it is, unsigned bytes"},
    };
    for (const char* rank : {"scalar", "vector", "matrix"}) {
      const std::pair<const char*, const char*> kinds[] = {
          {"f", "float32"}, {"d", "float64"}, {"l", "int64"}, {"i", "int64"}, {"b", "bool"}};
      for (const auto& [letter, dtype] : kinds)
        result[std::string(letter) + rank] = std::string("A symbolic ") + rank + " of " + dtype;
    }
    return result;
  }();
  return all;
}

/// As the text of a cell: nothing is markup but code in backticks.
std::string cell(const std::string& text) {
  std::string result;
  bool code = false;
  for (const char c : text) {
    if (c == '`') code = !code;
    if (c == '|' || (!code && std::string_view("*_<>[]\\").find(c) != std::string_view::npos))
      result += '\\';
    result += c;
  }
  return result;
}

std::string anchor(const std::string& path) {
  std::string result = path;
  std::ranges::replace(result, '/', '-');
  return result;
}

/// Overloads in one row: the first with all their parameters, the first comment that there is.
struct Row {
  std::string call, says;
};

std::string page(const std::vector<Header>& headers, std::vector<std::string>& silent) {
  std::ostringstream by_topic, by_name;
  std::map<std::string, std::set<std::string>> places;
  std::size_t count = 0;
  for (const Header& header : headers) {
    by_topic << "\n### " << cell(header.says) << " {#" << anchor(header.path) << "}\n\n`<cinch/"
             << header.path << ".hpp>`\n\n| function | what it does |\n|---|---|\n";
    std::vector<std::string> order;
    std::map<std::string, Row> rows;
    for (const Declared& f : header.functions) {
      Row& row = rows[f.name];
      const std::string call = f.name + "(" + f.parameters + ")";
      if (row.call.empty()) order.push_back(f.name);
      if (row.call.size() < call.size()) row.call = call;
      if (row.says.empty()) row.says = first_sentence(f.says);
      places[f.name].insert(header.path);
    }
    for (const std::string& name : order) {
      Row& row = rows[name];
      const auto known = known_by_name().find(name);
      if (known != known_by_name().end()) row.says = known->second;
      if (row.says.empty()) silent.push_back(header.path + ".hpp: " + name);
      by_topic << "| `" << row.call << "` | " << cell(row.says) << " |\n";
      ++count;
    }
  }
  for (const auto& [name, paths] : places) {
    by_name << "| `" << name << "` |";
    const char* between = " ";
    for (const std::string& path : paths) {
      by_name << between << "[" << path << "](#" << anchor(path) << ")";
      between = ", ";
    }
    by_name << " |\n";
  }
  std::ostringstream out;
  out << "# All functions\n\n"
      << count
      << " functions that programs call, with the first sentence of what their headers say: by "
         "what they\n"
         "do, then [by name](#by-name). Overloads share a row, which shows the longest. The "
         "headers say the\n"
         "rest: shapes, what is thrown, the paper of a formula. Written by `scripts/tables`.\n\n"
         "## By what they do\n"
      << by_topic.str() << "\n## By name\n\n| function | header |\n|---|---|\n"
      << by_name.str();
  return out.str();
}

}  // namespace

TEST_CASE("docs/manual/functions.md lists every public function and what it does") {
  const std::vector<Header> headers = read_headers();
  std::vector<std::string> silent;
  const std::string text = page(headers, silent);
  std::string all_silent;
  for (const std::string& one : silent) all_silent += one + "\n";
  CHECK_MESSAGE(silent.empty(), "nothing is said of these in their headers:\n", all_silent);

  // What is in the table of public functions is here too: the reader above finds it all. There some
  // have the names of their ops, and some are members.
  std::set<std::string> found;
  for (const Header& header : headers) {
    for (const Declared& f : header.functions) {
      found.insert(f.name);
      const auto colons = f.name.rfind(':');
      if (colons != std::string::npos) {
        found.insert(f.name.substr(colons + 1));
        found.insert(f.name.substr(0, colons - 1));
      }
    }
  }
  const std::map<std::string, std::string> operators = {
      {"neg", "operator-"},  {"not", "operator!"},         {"add", "operator+"},
      {"sub", "operator-"},  {"mul", "operator*"},         {"div", "operator/"},
      {"less", "operator<"}, {"less_equal", "operator<="}, {"and", "operator&&"},
      {"or", "operator||"},  {"switch", "switch_"}};
  for (const cinch::testing::PublicFunction& f : cinch::testing::public_functions()) {
    CAPTURE(f.name);
    const auto op = operators.find(f.name);
    const bool listed = found.contains(op == operators.end() ? f.name : op->second);
    CHECK(listed);
  }

  if (const char* folder = std::getenv("CINCH_TABLES"))
    std::ofstream(std::string(folder) + "/manual/functions.md") << text;
  std::ifstream file(CINCH_SOURCE_DIR "/docs/manual/functions.md");
  std::ostringstream committed;
  committed << file.rdbuf();
  CHECK_MESSAGE(committed.str() == text,
                "docs/manual/functions.md is not up to date: run scripts/tables");
}

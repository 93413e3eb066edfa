#include "support/html.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>
#include <sstream>
#include <vector>

#include "support/programs.hpp"

namespace cinch::testing {

namespace {

bool is_void(const std::string& name) { return name == "meta" || name == "br"; }

/// What is wrong with the "&" of a text, or "".
std::string fault_of_text(const std::string& text) {
  for (std::size_t at = text.find('&'); at != std::string::npos; at = text.find('&', at + 1)) {
    const std::string entity = text.substr(at, text.find(';', at) - at);
    if (entity != "&amp" && entity != "&lt" && entity != "&gt" && entity != "&quot" &&
        entity != "&#39")
      return "a bare & in: " + text.substr(at, 80);
  }
  const auto forbidden = std::ranges::find_if(
      text, [](unsigned char c) { return (c < ' ' && c != '\n' && c != '\t') || c == 0x7f; });
  return forbidden == text.end() ? "" : "a control character in: " + text.substr(0, 80);
}

}  // namespace

std::string faults_of_page(const std::string& html) {
  if (!html.starts_with("<!DOCTYPE html>\n")) return "no <!DOCTYPE html>";
  if (html.find("http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';") ==
      std::string::npos)
    return "no policy";
  std::vector<std::string> open;
  std::set<std::string> ids, targets;
  for (std::size_t at = 15; at < html.size();) {
    const std::size_t tag = std::min(html.find('<', at), html.size());
    const std::string between = html.substr(at, tag - at);
    if (std::string fault = fault_of_text(between); !fault.empty()) return fault;
    if (between.find('>') != std::string::npos) return "a bare > in: " + between.substr(0, 80);
    if (tag == html.size()) break;
    // Attributes hold no ">": it is escaped.
    const std::size_t end = html.find('>', tag);
    if (end == std::string::npos) return "a tag without an end";
    std::string inside = html.substr(tag + 1, end - tag - 1);
    at = end + 1;
    if (inside.starts_with("/")) {
      if (open.empty() || open.back() != inside.substr(1)) return "closed out of order: " + inside;
      open.pop_back();
      continue;
    }
    const bool closes = inside.ends_with("/");
    if (closes) inside.pop_back();
    const std::size_t name_end = std::min(inside.find_first_of(" \n"), inside.size());
    const std::string name = inside.substr(0, name_end);
    if (name.empty() || !std::isalpha(static_cast<unsigned char>(name[0])))
      return "a bare < before: " + html.substr(tag, 40);
    std::string rest = inside.substr(name_end);
    while (rest.find_first_not_of(" \n") != std::string::npos) {  //  key="value"
      const std::size_t begin = rest.find_first_not_of(" \n"), equals = rest.find("=\"");
      const std::size_t quote = equals == std::string::npos ? equals : rest.find('"', equals + 2);
      if (begin == 0 || quote == std::string::npos)
        return "an attribute that is none: " + rest.substr(0, 80);
      const std::string key = rest.substr(begin, equals - begin),
                        value = rest.substr(equals + 2, quote - equals - 2);
      const bool plain =
          std::ranges::all_of(key, [](unsigned char c) { return std::isalpha(c) || c == '-'; });
      if (!plain) return "an attribute that is none: " + rest.substr(0, 80);
      rest.erase(0, quote + 1);
      if (std::string fault = fault_of_text(value); !fault.empty()) return fault;
      if (key == "id" && !ids.insert(value).second) return "two elements have the id " + value;
      if (key == "href" && value.starts_with("#")) {
        targets.insert(value.substr(1));
      } else if ((key == "href" || key == "src") && !value.starts_with("data:")) {
        return "an address that leads out: " + value;
      }
    }
    if (name == "script" || name == "style") {
      const std::size_t last = html.find("</" + name, at);
      if (last == std::string::npos) return name + " without an end";
      const std::string code = html.substr(at, last - at);
      const bool data = inside.find("application/json") != std::string::npos;
      for (const char* out : {"://", "@import", "import(", "fetch(", "XMLHttp"}) {
        if (!data && code.find(out) != std::string::npos) return name + " mentions " + out;
      }
      if (name == "style" && code.find("url(") != std::string::npos) return "style mentions url(";
      at = last;
    }
    if (!closes && !is_void(name)) open.push_back(name);
  }
  if (!open.empty()) return "not closed: " + open.back();
  for (const std::string& target : targets) {
    if (!ids.contains(target)) return "a link to #" + target + ", which is not there";
  }
  return "";
}

Browsed browse(const std::string& path) {
  if (run_command("command -v chromium").status != 0) return {};
  const Scratch home;
  const std::string page = home.path + "/page.html";  // A path that needs no quotes.
  std::filesystem::copy_file(path, page);
  const std::string said = home.path + "/said";
  const Ran ran = run_command(
      "{ HOME=" + home.path + " timeout 120 chromium --headless --no-sandbox --disable-gpu" +
      " --disable-background-networking --disable-component-update --no-first-run" +
      " --host-resolver-rules='MAP * ~NOTFOUND' --enable-logging=stderr" +
      " --virtual-time-budget=10000 --dump-dom --user-data-dir=" + home.path + "/profile file://" +
      page + " 2>" + said + "; }");
  Browsed result{true, ran.output, ""};
  std::istringstream lines(contents(said));
  for (std::string line; std::getline(lines, line);) {
    if (line.find("CONSOLE") != std::string::npos) result.console += line + '\n';
  }
  return result;
}

}  // namespace cinch::testing

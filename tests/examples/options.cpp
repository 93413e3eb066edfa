// Options of the programs: help, mistakes, exit codes, files of options, what is written and how.
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "cinch/core/columns.hpp"
#include "small_runs.hpp"
#include "support/events.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

namespace fs = std::filesystem;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool curves_are_drawn() { return run_command("gnuplot --version").status == 0; }

/// Names of files that a text mentions, * included.
std::set<std::string> files_named(const std::string& text) {
  static const std::regex name(R"([\w*]+\.(png|npz|md|txt|ini|tsv)\b|\*log\.csv)");
  std::set<std::string> result;
  for (std::sregex_iterator at(text.begin(), text.end(), name), end; at != end; ++at)
    result.insert(at->str());
  return result;
}

bool matches(const std::string& file, const std::string& pattern) {
  const std::size_t star = pattern.find('*');
  if (star == std::string::npos) return file == pattern;
  return file.size() + 1 >= pattern.size() && file.starts_with(pattern.substr(0, star)) &&
         file.ends_with(pattern.substr(star + 1));
}

/// What run.txt says but for the line of threads.
std::string without_threads(const std::string& record) {
  static const std::regex line("threads: [0-9]+\n");
  return std::regex_replace(record, line, "");
}

/// All options of a run of this program, small.
std::string small_run(const SmallProgram& p, const std::string& data, const std::string& out) {
  return p.arguments + own_options(p.name, data, out);
}

}  // namespace

TEST_CASE("help fits 80 columns, says what to expect, and what exit codes mean") {
  for (const SmallProgram& p : all_programs) {
    const std::string name = p.name;
    CAPTURE(name);
    const Ran r = run_example(name, "--help");
    CHECK(r.status == 0);
    std::istringstream lines(r.output);
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(line);
      CHECK(columns_of(line) <= 80);
    }
    for (const char* part :
         {"Expect", "Writes: ", "Takes ", "Exit codes:", "--version", "--config"}) {
      CAPTURE(part);
      CHECK(has(r.output, part));
    }
    CHECK(has(r.output, "--tensorboard") == has(r.output, "--output"));
  }
}

TEST_CASE("what bug_museum prints fits 80 columns") {
  std::istringstream lines(run_example("bug_museum", "").output);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    CAPTURE(line);
    CHECK(columns_of(line) <= 80);
  }
  CHECK(count > 100);
}

TEST_CASE("the files that help names are those that a run writes") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  const bool drawn = curves_are_drawn();
  for (const SmallProgram& p : all_programs) {
    const std::string name = p.name;
    if (name == "bug_museum") continue;
    CAPTURE(name);
    const std::string out = scratch.path + "/" + name;
    const Ran ran = run_example(name, small_run(p, data, out));
    CAPTURE(ran.output);
    REQUIRE(ran.status == 0);
    std::set<std::string> there;
    for (const auto& entry : fs::directory_iterator(out)) there.insert(entry.path().filename());
    const std::string help = run_example(name, "--help").output;
    // Where nothing is trained by train(), there is no log.
    const std::set<std::string> may_miss{"*log.csv", "*checkpoint.npz"};
    const std::set<std::string> named = files_named(help);
    for (std::string file : there) {
      CAPTURE(file);
      // Each picture is there in three forms.
      const bool drawing = file.ends_with(".svg") || file.ends_with(".pdf");
      if (drawing) file.replace(file.size() - 3, 3, "png");
      CHECK((!drawing || there.contains(file)));
      CHECK(std::ranges::any_of(named, [&](const auto& n) { return matches(file, n); }));
    }
    for (const std::string& pattern : named) {
      CAPTURE(pattern);
      if (may_miss.contains(pattern) && !trains(name)) continue;
      if (!drawn && pattern.ends_with(".png")) continue;
      CHECK(std::ranges::any_of(there, [&](const auto& f) { return matches(f, pattern); }));
    }
  }
}

TEST_CASE("an option that does not exist is named, with the one that may be meant") {
  struct Row {
    const char *given, *says;
  };
  for (const Row& row :
       {Row{"--epoch 3", "mlp: --epoch is no option; did you mean --epochs?"},
        Row{"--lamda 1", "mlp: --lamda is no option\n"},
        Row{"--hiden=5", "mlp: --hiden=5 is no option; did you mean --hidden?"},
        Row{"--out x", "mlp: --out is no option; did you mean --output?"},
        Row{"--one --two",
            "mlp: --one is no option\nmlp: --two is no option\nRun with --help for all options.\n"},
        Row{"nine", "mlp: nine is no value that is expected\n"}}) {
    const Ran r = run_example("mlp", row.given);
    CAPTURE(row.given);
    CAPTURE(r.output);
    CHECK(r.status == 109);
    CHECK(has(r.output, row.says));
  }
  // Each option of each program is what one letter less is taken for.
  for (const SmallProgram& p : all_programs) {
    const std::string name = p.name;
    CAPTURE(name);
    const std::string help = run_example(name, "--help").output;
    static const std::regex option(R"(\n  (?:-h,)?(--[a-z-]+))");
    std::set<std::string> options;
    for (std::sregex_iterator at(help.begin(), help.end(), option), end; at != end; ++at)
      options.insert((*at)[1]);
    CHECK(options.size() >= 4);
    std::string wrong, says;
    for (const std::string& each : options) {
      const std::string shorter = each.substr(0, each.size() - 2) + each.back();
      // Of --seed and --seeds either may be meant.
      const bool has_other = options.contains(each.substr(0, each.size() - 1));
      if (each.size() < 7 || options.contains(shorter) || has_other) continue;
      wrong += " " + shorter;
      says += name + ": " + shorter + " is no option; did you mean " + each + "?\n";
    }
    const Ran r = run_example(name, wrong);
    CAPTURE(wrong);
    CHECK(r.status == 109);
    CHECK(r.output == says + "Run with --help for all options.\n");
  }
}

TEST_CASE("rates and weights that are no finite numbers are refused in words") {
  struct Row {
    const char *program, *given, *says;
  };
  for (const Row& row :
       {Row{"mlp", "--rate inf", "inf is not a number above 0"},
        Row{"mlp", "--rate 0", "0 is not a number above 0"},
        Row{"contractive_autoencoder", "--lambda nan", "nan is not a number from 0 on"},
        Row{"contractive_autoencoder", "--lambda -1", "-1 is not a number from 0 on"},
        Row{"mlp", "--threads -1", "--threads"}}) {
    const Ran r = run_example(row.program, row.given);
    CAPTURE(row.given);
    CAPTURE(r.output);
    CHECK(r.status == 105);
    CHECK(has(r.output, row.says));
    CHECK(r.output.size() < 200);
  }
}

TEST_CASE("a run can be made again from the options that it left behind") {
  const Scratch scratch;
  // A name that a careless reader would take for a comment, an array or two words.
  const std::string odd = scratch.path + "/a b#c,d=e;f";
  fs::create_directories(odd);
  fs::rename(small_data(scratch), odd + "/data");
  for (const SmallProgram& p : all_programs) {
    const std::string name = p.name;
    if (name == "bug_museum") continue;
    CAPTURE(name);
    const std::string first = odd + "/first", again = odd + "/again";
    const Ran ran = run_example(
        name, p.arguments + own_options(p.name, "'" + odd + "/data'", "'" + first + "'") +
                  " --quiet --seed 77");
    CAPTURE(ran.output);
    REQUIRE(ran.status == 0);
    CAPTURE(contents(first + "/run.ini"));
    const Ran same =
        run_example(name, "--config '" + first + "/run.ini' --threads 1 --output '" + again + "'");
    CAPTURE(same.output);
    REQUIRE(same.status == 0);
    if (curves_are_drawn()) CHECK(same.output.empty());  // Which --quiet is in the file for.
    for (const auto& entry : fs::directory_iterator(first)) {
      const std::string file = entry.path().filename();
      CAPTURE(file);
      REQUIRE(fs::exists(again + "/" + file));
      // These hold seconds; the line of --output is what differs in run.ini.
      if (file.ends_with("log.csv") || file.ends_with(".tsv") || file.ends_with("checkpoint.npz") ||
          file == "run.ini" || file == "results.md")
        continue;
      if (file == "run.txt") {  // It says with how many threads, which decide nothing.
        CHECK(has(contents(again + "/" + file), "\nthreads: 1\n"));
        CHECK(without_threads(contents(again + "/" + file)) ==
              without_threads(contents(first + "/" + file)));
        continue;
      }
      CHECK(contents(again + "/" + file) == contents(first + "/" + file));
    }
    for (const auto& entry : fs::directory_iterator(first)) {
      const std::string file = entry.path().filename();
      if (!file.ends_with("log.csv")) continue;
      auto one = read_csv(first + "/" + file), two = read_csv(again + "/" + file);
      for (auto* rows : {&one, &two})
        for (auto& row : *rows) row.pop_back();
      CHECK(one == two);
    }
    fs::remove_all(first);
    fs::remove_all(again);
  }
}

TEST_CASE("what a preset means stands in the file of options, and published figures beside it") {
  const Scratch scratch;
  const std::string data = small_data(scratch), first = scratch.path + "/first";
  const std::string again = scratch.path + "/again";
  const Ran ran = run_example(
      "contractive_autoencoder",
      "--preset tutorial --epochs 2 --hidden 7 --quiet --data " + data + " --output " + first);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  const std::string options = contents(first + "/run.ini");
  CAPTURE(options);
  for (const char* line : {"preset=\"tutorial\"\n", "epochs=2\n", "batch=10\n", "rate=0.01\n",
                           "dtype=\"float64\"\n", "quiet=true\n"})
    CHECK(has(options, line));
  for (const char* none : {"resume", "config", "tensorboard=", "log="})
    CHECK_FALSE(has(options, none));
  const Ran same =
      run_example("contractive_autoencoder", "--config " + first + "/run.ini --output " + again);
  CAPTURE(same.output);
  REQUIRE(same.status == 0);
  CHECK(contents(again + "/parameters.npz") == contents(first + "/parameters.npz"));
  CHECK(contents(again + "/run.txt") == contents(first + "/run.txt"));
  // The file is no other run to one that resumes.
  const Ran resumed =
      run_example("contractive_autoencoder", "--config " + first + "/run.ini --epochs 3 --resume");
  CAPTURE(resumed.output);
  CHECK(resumed.status == 0);
  CHECK(read_csv(first + "/log.csv").size() == 4);
}

TEST_CASE("a file of options that has what it should not is refused by name and key") {
  const Scratch scratch;
  struct Row {
    const char *text, *says;
    int status;
  };
  const std::string path = scratch.path + "/o.ini";
  for (const Row& row : {
           Row{"epoks=3\n", "o.ini: epoks is no option; did you mean epochs?", 110},
           Row{"epochs=1\nzzz=3\n", "o.ini: zzz is no option\n", 110},
           Row{"--epochs=1\n", "o.ini: --epochs is no option", 110},
           Row{"epochs=many\n", "o.ini: --epochs: ", 105},
           Row{"epochs=-1\n", "o.ini: --epochs: ", 105},
           Row{"hidden=1.5x\n", "o.ini: --hidden: ", 105},
           Row{"rate=fast\n", "o.ini: --rate: fast is not a number above 0", 105},
           Row{"dtype=\"int8\"\n", "o.ini: --dtype: int8 not in {float32,float64}", 105},
           Row{"epochs=1 2\n", "o.ini: ", 114},
           Row{"quiet=perhaps\n", "o.ini: ", 104},
           Row{"resume=true\n", "o.ini: resume is for the command line alone", 110},
           Row{"[training]\nepochs=3\n", "o.ini: [training]: options stand in no section here",
               110},
           Row{"rate=\x1b[2J\n", "o.ini: --rate: \\x1b[2J is not", 105},
       }) {
    std::ofstream(path) << row.text;
    const Ran ran = run_example("mlp", "--config " + path);
    CAPTURE(row.text);
    CAPTURE(ran.output);
    CHECK(ran.status == row.status);
    CHECK(has(ran.output, row.says));
    CHECK(ran.output.starts_with("mlp: " + path + ": "));
  }
  const Ran none = run_example("mlp", "--config " + scratch.path + "/none.ini");
  CAPTURE(none.output);
  CHECK(none.status == 103);
  CHECK(has(none.output, scratch.path + "/none.ini"));
  // A value that the command line has is its own fault, whatever the file says.
  std::ofstream(path) << "# A comment.\n\nepochs = 3  # Of three.\n";
  const Ran own = run_example("mlp", "--epochs -1 --config " + path);
  CAPTURE(own.output);
  CHECK(own.status == 105);
  CHECK_FALSE(has(own.output, "o.ini"));
  // Comments and the command line's precedence.
  const std::string data = small_data(scratch);
  std::ofstream(path)
      << "# A comment.\n\nepochs = 3  # Of three.\nhidden = 5\nbatch=10\nquiet=true\n"
      << "data = '" << data << "'\noutput = \"" << scratch.path << "/out\"\n";
  const Ran ran = run_example("mlp", "--config " + path + " --epochs 2");
  CAPTURE(ran.output);
  CHECK(ran.status == 0);
  CHECK(read_csv(scratch.path + "/out/log.csv").size() == 3);
}

TEST_CASE("exit codes are those of the table") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  std::ofstream(scratch.path + "/o.ini") << "epoks=3\n";
  struct Row {
    std::string given;
    int status;
  };
  for (const Row& row :
       {Row{"--help", 0}, Row{"--version", 0}, Row{"--data /no/such/folder", 1}, Row{"--resume", 1},
        Row{"--config " + scratch.path + "/none.ini", 103}, Row{"--quiet=perhaps", 104},
        Row{"--epochs -1", 105}, Row{"--epoks 1", 109},
        Row{"--config " + scratch.path + "/o.ini", 110}, Row{"--epochs", 114}}) {
    const Ran ran =
        run_example("logistic_regression",
                    "--output " + scratch.path + "/none " +
                        (has(row.given, "--data") ? "" : "--data " + data + " ") + row.given);
    CAPTURE(row.given);
    CAPTURE(ran.output);
    CHECK(ran.status == row.status);
  }
  // The table names them all.
  const std::string table = contents(CINCH_SOURCE_DIR "/docs/promises.md");
  for (const char* code : {"0", "1", "103", "104", "105", "109", "110", "114", "130"}) {
    CAPTURE(code);
    CHECK(has(table, std::string("| ") + code + " |"));
  }
}

TEST_CASE("logs are JSON lines, and pictures and curves TensorBoard's, where asked for") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  const std::string event = "/events.out.tfevents.0.cinch";
  for (const SmallProgram& p : all_programs) {
    const std::string name = p.name;
    if (name == "bug_museum") continue;
    CAPTURE(name);
    const std::string out = scratch.path + "/" + name;
    const bool logs = trains(name);
    const Ran ran = run_example(
        name, small_run(p, data, out) + " --tensorboard" + (logs ? " --log-format jsonl" : ""));
    CAPTURE(ran.output);
    REQUIRE(ran.status == 0);
    int rows = 0, pictures = 0;
    std::size_t trainings = 0;
    for (const auto& entry : fs::directory_iterator(out)) {
      const std::string file = entry.path().filename();
      CHECK_FALSE(file.ends_with("log.csv"));
      pictures += file.ends_with(".png") ? 1 : 0;
      if (!file.ends_with("log.jsonl")) continue;
      ++trainings;
      std::istringstream lines(contents(entry.path()));
      for (std::string line; std::getline(lines, line); ++rows) {
        CAPTURE(line);
        CHECK(line.starts_with(R"({"epoch":)"));
        CHECK(has(line, R"(,"seconds":)"));
      }
    }
    CHECK((rows > 0) == logs);
    CHECK((trainings > 0) == logs);
    int seen = 0;
    for (const auto& run : fs::directory_iterator(out + "/tensorboard")) {
      const auto events = read_events(run.path().string() + event);
      if (!events) return;
      CHECK(events->at(0).find("brain.Event:2") != std::string::npos);
      if (run.path().filename() == "pictures") {
        CHECK(static_cast<int>(events->size()) == pictures + 1);
        ++seen;
      } else {
        rows -= static_cast<int>(events->size()) - 1;
        trainings -= 1;
      }
    }
    CHECK(seen == (pictures > 0 ? 1 : 0));
    CHECK(rows == 0);
    CHECK(trainings == 0);
  }
}

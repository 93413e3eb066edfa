// --report of the programs: pages that are sound, small, and say what was run.
#include <doctest/doctest.h>

#include <algorithm>
#include <cinch/report/report.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "small_runs.hpp"
#include "support/html.hpp"
#include "support/programs.hpp"

using namespace cinch::testing;

namespace {

struct Reported {
  const char* program;
  std::vector<std::string> shows;
  const char* arguments = nullptr;  ///< Null: those of a small run.
};
/// Every program that trains, but for what the page of each is like.
const std::vector<Reported> programs = {
    {"cae_h", {"CAE+H, gamma 1", "E ‖J(x) − J(x + e)‖²"}, "--epochs 2 --batch 10 --hidden 5"},
    {"classifier_dictionary", {"Images on which latents are most active", "latent "}},
    {"contractive_autoencoder",
     {"<title>Contractive autoencoder</title>", ">reconstruction</text>",
      "\"name\":\"jacobian_norm\""},
     "--epochs 50 --batch 10 --hidden 20"},
    {"contractive_keras", {"untied weights"}, "--epochs 2 --batch 10 --hidden 5"},
    {"deep_belief_network", {"fine-tuning"}},
    {"deep_contractive_fashion", {"‖dh/dx‖²"}, "--epochs 2 --batch 10 --layers 6,4"},
    {"denoising_autoencoder",
     {">original</text>", ">noisy</text>", ">result</text>"},
     "--epochs 2 --batch 10 --hidden 5"},
    {"features_for_classification", {"Audit of the cost, CAE, 5 units"}},
    {"hinton_deep_autoencoder", {">PCA</text>", "Training: layer1_log.csv"}},
    {"hybrid_monte_carlo", {"Samples, ring"}},
    {"k_sparse", {"winner_take_all"}},
    {"latent_geometry", {"Metric of the decoder: topological", "as far in the images"}},
    {"linear_autoencoder_is_pca", {"Bases of one span"}},
    {"lista", {"Distance from the sparse code"}},
    {"logistic_regression", {"validation error", "Weights of each class"}, "--epochs 2 --batch 10"},
    {"manifold", {"Singular values of dh/dx", "Two forces", "Tangents of the CAE", "\"λ = 0.3\""}},
    {"mlp", {"Multilayer perceptron"}, "--epochs 2 --batch 10 --hidden 5"},
    {"pretraining_compared", {"Filters, each on a scale of its own: ae", "Training: "}},
    {"recurrent_autoencoder", {"each row from those before"}},
    {"recurrent_classifier", {"Recurrent classifiers"}},
    {"restricted_boltzmann_machine", {"Samples, pcd", "pseudo-likelihood"}},
    {"score_matching_2d", {"∇ log p", "\"equal\":true", "\"mark\":\"arrows\""}},
    {"sparse", {"Filters, each on a scale of its own, penalty"}},
    {"sparse_dictionaries", {"Largest cosine of each true feature", "jacobian pair"}},
    {"stacked_denoising_autoencoder", {"fine-tuning"}},
    {"vae", {"Map of the code", "Samples"}, "--epochs 2 --batch 10 --hidden 5"},
    {"your_own_variant", {"Reconstructions"}, "--epochs 2 --batch 10 --hidden 5"},
};

}  // namespace

TEST_CASE("each program that trains puts its run on one page, which opens without a network") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  for (const Reported& p : programs) {
    CAPTURE(std::string(p.program));
    const std::string out = scratch.path + "/it's " + p.program;
    const std::string arguments = (p.arguments ? p.arguments : small_arguments(p.program)) +
                                  own_options(p.program, data, "\"" + out + "\"");
    const Ran ran = run_example(p.program, arguments + " --report");
    CAPTURE(ran.output);
    REQUIRE(ran.status == 0);
    CHECK(ran.output.find("the report is " + out + "/report.html") != std::string::npos);
    const std::string page = contents(out + "/report.html");
    CHECK(page.size() <= cinch::largest_report);
    CHECK(faults_of_page(page) == "");
    for (const std::string& text : p.shows) {
      CAPTURE(text);
      CHECK(page.find(text) != std::string::npos);
    }
    for (const char* text :
         {"This makes the run again:", "--report</pre>", "OpenBLAS kernels", "<td>commit</td>",
          "Options and data", "<td>--seed</td>", "All options as --config takes them"}) {
      CAPTURE(std::string(text));
      CHECK(page.find(text) != std::string::npos);
    }
    const std::string name = p.program;
    if (name != "contractive_autoencoder") CHECK(page.find(">Results</h2>") != std::string::npos);
    if (!makes_data(name)) CHECK(page.find(" images, hash ") != std::string::npos);
    if (name != "linear_autoencoder_is_pca") {
      CHECK(page.find("Audit of the cost") != std::string::npos);
      CHECK(page.find("The kernels of a call, in the order") != std::string::npos);
    }
    // Not where it was not asked for.
    CHECK(contents(out + "/run.txt").find("--report") == std::string::npos);
    if (name != "contractive_autoencoder" && name != "score_matching_2d") continue;
    const Browsed seen = browse(out + "/report.html");
    if (!seen.there) {
      MESSAGE("skipped: chromium is not installed");
      continue;
    }
    CHECK(seen.console == "");
    CHECK(seen.page.find("data-panel=\"0\"") != std::string::npos);
  }
}

TEST_CASE("the list of programs with a report has all that train") {
  std::vector<std::string> listed{"bug_museum"};
  for (const Reported& p : programs) listed.emplace_back(p.program);
  CHECK(listed == programs_there());
}

TEST_CASE("the command of a report makes the same run again") {
  const Scratch scratch;
  const std::string data = small_data(scratch), out = scratch.path + "/a b";
  const auto logged = [&] {
    auto log = read_csv(out + "/log.csv");
    for (auto& row : log) row.pop_back();  // Seconds.
    return log;
  };
  REQUIRE(
      run_example("vae", "--epochs 2 --batch 10 --hidden 5 --rate 0.01 --report --quiet --data " +
                             data + " --output '" + out + "'")
          .status == 0);
  const auto first = logged();
  REQUIRE(first.size() == 3);
  std::string page = contents(out + "/report.html");
  const std::string begin = "<pre class=\"command\">";
  const std::size_t at = page.find(begin) + begin.size();
  std::string command = page.substr(at, page.find("</pre>", at) - at);
  for (std::size_t k; (k = command.find("&#39;")) != std::string::npos;) command.replace(k, 5, "'");
  std::filesystem::remove_all(out);
  const Ran again = run_command(command);
  CAPTURE(command);
  CAPTURE(again.output);
  CHECK(again.status == 0);
  CHECK(logged() == first);
}

TEST_CASE("a run that was interrupted says so on its page, and one without epochs has one") {
  const Scratch scratch;
  const std::string data = small_data(scratch), out = scratch.path + "/out";
  const Ran ran = interrupt_example(
      "vae", "--epochs 1000000 --batch 10 --hidden 5 --report --data " + data + " --output " + out);
  CAPTURE(ran.output);
  REQUIRE(ran.status == 130);
  CHECK(contents(out + "/report.html").find("The run was interrupted") != std::string::npos);
  CHECK(faults_of_page(contents(out + "/report.html")) == "");
  const Ran none = run_example(
      "vae", "--epochs 0 --batch 10 --hidden 5 --report --data " + data + " --output " + out);
  CAPTURE(none.output);
  REQUIRE(none.status == 0);
  const std::string page = contents(out + "/report.html");
  CHECK(page.find("No epoch was finished.") != std::string::npos);
  CHECK(page.find("The run was interrupted") == std::string::npos);
}

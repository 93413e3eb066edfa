// Programs that end in a classifier: small runs, what they write, what they refuse.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "cinch/io/image.hpp"
#include "support/programs.hpp"

using namespace cinch::testing;

TEST_CASE("logistic_regression: trains, stops, and reports errors of whole minibatches and all") {
  const Scratch scratch;
  const std::string data = " --data " + small_data(scratch), out = scratch.path + "/out";
  const Ran run =
      run_example("logistic_regression", data + " --batch 10 --epochs 5 --output " + out);
  INFO(run.output);
  CHECK(run.status == 0);
  CHECK(result(out, "validation error").ends_with("%"));
  CHECK(result(out, "test error, all images").ends_with("%"));
  CHECK(read_csv(out + "/log.csv").size() == 6);
  CHECK(fault_of_figure(out + "/weights", {"least", ">9<"}, {89, 8}) == "");
  check_refused("logistic_regression", {{"--batch 0", "--batch"},
                                        {"--batch 60", "only 50 images"},
                                        {"--rate -1", "--rate"},
                                        {"--dtype int64", "--dtype"}});
}

TEST_CASE("labels out of range are refused before anything is written") {
  for (const auto& [name, offset, says] :
       {std::tuple{"train", 30, "a label is out of range: they go up to 200"},
        std::tuple{"t10k", 12, "a test label is out of range: 200, where training labels go up"}}) {
    const Scratch scratch;
    const std::string data = small_data(scratch), out = scratch.path + "/out";
    std::fstream labels(data + "/" + name + "-labels-idx1-ubyte",
                        std::ios::in | std::ios::out | std::ios::binary);
    labels.seekp(offset);
    labels.put(static_cast<char>(200));
    labels.close();
    const Ran ran = run_example("mlp", "--batch 5 --data " + data + " --output " + out);
    CAPTURE(ran.output);
    CHECK(ran.status == 1);
    CHECK(ran.output.find(says) != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(out + "/log.csv"));
  }
}

TEST_CASE("mlp: a run that is resumed ends with the log of one that was not interrupted") {
  const Scratch scratch;
  const std::string common = " --data " + small_data(scratch) + " --batch 10 --hidden 7 --quiet";
  const std::string one = scratch.path + "/one", two = scratch.path + "/two";
  CHECK(run_example("mlp", common + " --epochs 4 --output " + one).status == 0);
  CHECK(run_example("mlp", common + " --epochs 2 --output " + two).status == 0);
  const Ran resumed = run_example("mlp", common + " --epochs 4 --resume --output " + two);
  INFO(resumed.output);
  CHECK(resumed.status == 0);
  CHECK(resumed.output.find("epoch") == std::string::npos);
  const auto first = read_csv(one + "/log.csv"), second = read_csv(two + "/log.csv");
  REQUIRE(first.size() == 5);
  REQUIRE(second.size() == 5);
  for (std::size_t row = 0; row < 5; ++row) {
    for (std::size_t k = 0; k + 1 < first[row].size(); ++k) CHECK(first[row][k] == second[row][k]);
  }
  CHECK(result(one, "test error") == result(two, "test error"));
  // A checkpoint of another model is refused, and stays what it was.
  const std::string before = contents(two + "/checkpoint.npz");
  const Ran other =
      run_example("mlp", " --data " + scratch.path +
                             "/data --batch 10 --hidden 9 --epochs 5 --resume --output " + two);
  CHECK(other.status == 1);
  CHECK(other.output.find("checkpoint") != std::string::npos);
  CHECK(contents(two + "/checkpoint.npz") == before);
  check_refused("mlp", {{"--hidden 0", "--hidden"}, {"--decay -1", "--decay"}});
}

TEST_CASE("stacked_denoising_autoencoder: pretrains each layer, then tunes all or the top alone") {
  const Scratch scratch;
  const std::string data =
      " --data " + small_data(scratch) +
      " --hidden 9,6,5 --pretraining-epochs 2 --epochs 2 --batch 10 --pretraining-batch 10";
  for (const std::string top : {"", " --top-only"}) {
    const std::string out = scratch.path + "/out" + (top.empty() ? "" : "_top");
    const Ran run = run_example("stacked_denoising_autoencoder", data + top + " --output " + out);
    INFO(run.output);
    CHECK(run.status == 0);
    CHECK(result(out, "layers") == "64-9-6-5-10");
    for (const char* part : {"layer1_", "layer2_", "layer3_", "finetuning_"})
      CHECK(read_csv(out + "/" + part + "log.csv").size() == 3);
    CHECK(std::filesystem::exists(out + "/filters.png"));
  }
  check_refused("stacked_denoising_autoencoder",
                {{"--hidden 5,5 --corruption .1", "--hidden has 2 layers"},
                 {"--hidden 0", "--hidden"},
                 {"--corruption 2", "--corruption"}});
}

TEST_CASE("hinton_deep_autoencoder: beside PCA") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran run =
      run_example("hinton_deep_autoencoder",
                  " --data " + small_data(scratch) +
                      " --hidden 9,5 --pretraining-epochs 1 --epochs 2 --batch 10 --output " + out);
  INFO(run.output);
  CHECK(run.status == 0);
  CHECK(std::stod(result(out, "squared error of a test image, PCA")) > 0);
  CHECK(fault_of_figure(out + "/reconstructions", {"original", "autoencoder", "PCA"}, {89, 26}) ==
        "");
  check_refused("hinton_deep_autoencoder", {{"--hidden 0", "--hidden"}, {"--loss no", "--loss"}});
}

TEST_CASE("pretraining_compared: every kind has a row, and finished ones are not run again") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out",
                    arguments =
                        " --data " + small_data(scratch) +
                        " --hidden 6 --pretraining-epochs 1 --epochs 1 --batch 10 --output " + out;
  const Ran run = run_example("pretraining_compared", arguments);
  INFO(run.output);
  CHECK(run.status == 0);
  for (const char* kind : {"CAE (lambda 0.5)", "DAE, Gaussian noise (deviation 0.5)",
                           "DAE, masking (share 0.25)", "AE, weight decay (weight 0.001)", "AE"})
    CHECK(result(out, std::string(kind) + ": test error").ends_with("%"));
  for (const char* file :
       {"cae_0.5_pretraining_log.csv", "cae_0.5_tuning_log.csv", "ae_filters.png",
        "dae_gaussian_0.5_parameters.npz", "ae_tuning_checkpoint.npz"})
    CHECK_MESSAGE(std::filesystem::exists(out + "/" + file), file);
  const Ran again = run_example("pretraining_compared", arguments + " --resume");
  CHECK(again.status == 0);
  CHECK(again.output.find("epoch 0") == std::string::npos);
  check_refused(
      "pretraining_compared",
      {{"--preset best", "--preset"}, {"--hidden -1", "--hidden"}, {"--noise -1", "--noise"}});
}

TEST_CASE("pretraining_compared: files are named by what there are several of") {
  const Scratch scratch;
  const std::string out = scratch.path + "/out";
  const Ran run = run_example("pretraining_compared",
                              " --kinds ae --rates 0.4 --noise 0,0.3 --runs 2 --hidden 4 --epochs 1"
                              " --pretraining-epochs 1 --batch 10 --data " +
                                  small_data(scratch) + " --output " + out);
  INFO(run.output);
  REQUIRE(run.status == 0);
  std::set<std::string> logs;
  for (const auto& entry : std::filesystem::directory_iterator(out))
    if (entry.path().extension() == ".csv") logs.insert(entry.path().filename().string());
  CHECK(logs == std::set<std::string>{"ae_pretraining_log.csv", "ae_tuning_noise_0_run_1_log.csv",
                                      "ae_tuning_noise_0_run_2_log.csv",
                                      "ae_tuning_noise_0.3_run_1_log.csv",
                                      "ae_tuning_noise_0.3_run_2_log.csv"});
}

TEST_CASE("Ctrl-C in pretraining ends a program: what follows would build on half of it") {
  for (const auto& [program_name, made] :
       {std::pair{"pretraining_compared", "cae_0.5_pretraining_checkpoint.npz"},
        std::pair{"stacked_denoising_autoencoder", "layer1_checkpoint.npz"},
        std::pair{"hinton_deep_autoencoder", "layer1_checkpoint.npz"}}) {
    const std::string program = program_name;
    const Scratch scratch;
    const std::string out = scratch.path + "/out";
    const Ran ran = interrupt_example(program, "--pretraining-epochs 1000000 --batch 10 --data " +
                                                   small_data(scratch) + " --output " + out);
    CAPTURE(program);
    CHECK(ran.status == 130);
    CHECK(ran.output.ends_with(": interrupted; --resume goes on from here\n"));
    CHECK(std::filesystem::exists(out + "/" + made));
    CHECK_FALSE(std::filesystem::exists(out + "/results.md"));
    if (program == std::string("pretraining_compared")) {
      const std::string finished = contents(out + "/finished.tsv");
      CHECK(std::ranges::count(finished, '\n') == 1);  // The settings alone.
    }
  }
}

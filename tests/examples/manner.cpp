// What all programs have in common: data of one's own, what a folder says of its run, what is
// expected, parameters that are left.
#include <doctest/doctest.h>

#include <cinch/cinch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "small_runs.hpp"
#include "support/programs.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

namespace fs = std::filesystem;

/// The images of small_data() as a folder of PNG files, each class a folder.
std::string png_data(const Scratch& scratch) {
  const Pictures all = read_images(small_data(scratch));
  const std::string folder = scratch.path + "/png";
  const std::int64_t pixels = all.height * all.width;
  for (std::int64_t k = 0; k < all.images.shape()[0]; ++k) {
    const std::string of = text(folder, "/class ", all.labels->at(k));
    fs::create_directories(of);
    GreyImage image{all.width, all.height, {}};
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel)
      image.pixels.push_back(static_cast<std::uint8_t>(all.images(k, pixel) * 255 + 0.5));
    write_png(text(of, "/", k, ".png"), image);
  }
  return folder;
}

std::vector<std::string> parameter_files(const std::string& folder) {
  std::vector<std::string> result;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().ends_with("parameters.npz"))
      result.push_back(entry.path());
  return result;
}

}  // namespace

TEST_CASE("each program leaves its parameters, says how it was made and what was expected") {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  for (const SmallProgram& p : all_programs) {
    const std::string name = p.name;
    if (name == "bug_museum") continue;  // It trains nothing and writes nothing.
    CAPTURE(name);
    const std::string out = scratch.path + "/" + name;
    const std::string call = p.arguments + own_options(name, data, out);
    const Ran ran = run_example(name, call);
    CAPTURE(ran.output);
    REQUIRE(ran.status == 0);
    const std::size_t before = ran.output.find("Expect: "), after = ran.output.find("\nexpected: ");
    CHECK(before != std::string::npos);
    CHECK(after != std::string::npos);
    CHECK(before < after);

    const std::string record = contents(out + "/run.txt");
    CAPTURE(record);
    for (const std::string& field :
         {"program: " + name + "\n", "version: " + std::string(version()) + "\n",
          std::string("\ncommit: "), std::string("\n--seed: "), std::string("\nthreads: "),
          std::string("\ndata: ")}) {
      CAPTURE(field);
      CHECK(record.find(field) != std::string::npos);
    }
    CHECK(makes_data(name) == (record.find(" images, hash ") == std::string::npos ||
                               name == "lista"));  // It notes what it made.

    const std::vector<std::string> files = parameter_files(out);
    CHECK(!files.empty());
    for (const std::string& file : files) {
      CAPTURE(file);
      CHECK(!read_npz(file).empty());
    }

    const Ran other = run_example(name, call + " --resume --seed 77");
    CAPTURE(other.output);
    CHECK(other.status == 1);
    CHECK(other.output.find("are of another run: --seed is 77, there it is ") != std::string::npos);
    CHECK(contents(out + "/run.txt") == record);
  }
}

TEST_CASE("each program that reads data takes pictures in folders by class") {
  const Scratch scratch;
  const std::string data = png_data(scratch);
  for (const SmallProgram& p : all_programs) {
    const std::string name = p.name;
    if (name == "bug_museum" || makes_data(name)) continue;
    CAPTURE(name);
    const std::string out = scratch.path + "/" + name;
    const Ran ran = run_example(name, p.arguments + own_options(name, data, out));
    CAPTURE(ran.output);
    CHECK(ran.status == 0);
    CHECK(ran.output.find(" images of 8 x 8 from " + data) != std::string::npos);
    CHECK(contents(out + "/run.txt").find("\ndata: (") != std::string::npos);
  }
}

TEST_CASE("tables and arrays are data as well, coloured pictures too, and unfit ones are refused") {
  const Scratch scratch;
  const Pictures all = read_images(small_data(scratch));
  const std::int64_t count = all.images.shape()[0];
  const std::string out = " --output " + scratch.path + "/out";
  const auto autoencoder_of = [&](const std::string& data) {
    return run_example("sparse", "--epochs 1 --batch 10 --hidden 5 --data " + data + out);
  };
  const auto classifier_of = [&](const std::string& data) {
    return run_example("mlp", "--epochs 1 --batch 10 --hidden 5 --data " + data + out);
  };
  const auto says = [](const Ran& ran, const std::string& text) {
    CAPTURE(ran.output);
    CHECK(ran.output.find(text) != std::string::npos);
    return ran.status;
  };

  const std::string csv = scratch.path + "/a.csv", npz = scratch.path + "/a.npz";
  {
    std::ofstream table(csv);
    table << "a,label,b\n";
    for (std::int64_t k = 0; k < count; ++k)
      table << all.images(k, 0) << ',' << all.labels->at(k) << ',' << all.images(k, 1) << '\n';
  }
  CHECK(says(autoencoder_of(csv), "40 images of 1 x 2 from " + csv + ", 10 to validate, 10 to") ==
        0);
  CHECK(says(classifier_of(csv), "test error") == 0);
  std::ofstream(csv, std::ios::app) << "0.5,1,7\n";
  CHECK(says(autoencoder_of(csv),
             text(csv, ": row ", count, ", column 2 (b) of the table: 7 is not from 0 to 1")) == 1);

  const Tensor images = all.images.reshaped({count, 1, 8, 8});
  write_npz(
      npz,
      {{"x_train", images}, {"y_train", *all.labels}, {"x_test", images}, {"y_test", *all.labels}});
  CHECK(says(classifier_of(npz),
             text("50 images of 8 x 8 from ", npz, ", 10 to validate, 60 to")) == 0);
  Tensor labels = *all.labels;
  std::swap(labels.data<std::int64_t>()[0], labels.data<std::int64_t>()[1]);
  write_npz(npz,
            {{"x_train", images}, {"y_train", labels}, {"x_test", images}, {"y_test", labels}});
  CHECK(says(run_example("mlp", "--epochs 1 --batch 10 --hidden 5 --resume --data " + npz + out),
             "are of another run: data is ") == 1);
  write_npz(npz, {{"images", images}});
  CHECK(says(autoencoder_of(npz), "40 images of 8 x 8") == 0);
  CHECK(says(classifier_of(npz), npz + ": has no labels, which this program needs") == 1);

  // Three colours, one below the other.
  write_npy(scratch.path + "/a.npy", Tensor::full(DType::float32, {30, 3, 4, 5}, 0.5));
  CHECK(says(run_example("contractive_autoencoder", "--epochs 1 --batch 10 --hidden 5 --data " +
                                                        scratch.path + "/a.npy" + out),
             "25 images of 12 x 5 from ") == 0);

  fs::create_directory(scratch.path + "/jpg");
  std::ofstream(scratch.path + "/jpg/1.jpg") << "x";
  CHECK(says(autoencoder_of(scratch.path + "/jpg"), "is a folder of 1 .jpg file (1.jpg)") == 1);
  write_npy(scratch.path + "/a.npy", Tensor::full(DType::float32, {3, 8, 8}, 0.5));
  CHECK(says(autoencoder_of(scratch.path + "/a.npy"), "may be grey pictures or a coloured one") ==
        1);
  write_npy(scratch.path + "/a.npy", Tensor::full(DType::float32, {2, 8, 8}, 0.5));
  CHECK(says(autoencoder_of(scratch.path + "/a.npy"), "2 examples are too few") == 1);
}

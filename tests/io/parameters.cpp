#include "cinch/io/parameters.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "temporary_folder.hpp"

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::TemporaryFolder, testing::write_file;

TEST_CASE("parameters are saved and loaded by name, those of two autoencoders too") {
  const TemporaryFolder folder;
  const auto make = [](int seed) {
    RandomState random(seed);
    std::vector<Shared> all;
    for (int k = 0; k < 2; ++k)
      for (const Shared& p : autoencoder({4, 3, 2}, random).params()) all.push_back(p);
    return all;
  };
  const std::vector<Shared> saved = make(1), loaded = make(2);
  for (const char* name : {"a.npz", "a.safetensors"}) {
    CAPTURE(name);
    save(saved, folder / name);
    for (Shared p : loaded) p.set(Tensor(p.dtype(), p.value().shape()));
    load(loaded, folder / name);
    for (std::size_t k = 0; k < saved.size(); ++k) CHECK(loaded[k].value() == saved[k].value());
  }
  const Arrays arrays = read_npz(folder / "a.npz");
  CHECK(arrays.size() == saved.size());
  const std::string first = saved[0].label();
  CHECK(arrays.at(first) == saved[0].value());
  CHECK(arrays.at(first + "_2") == saved[saved.size() / 2].value());
  // A variable that occurs twice is one.
  save({saved[0], saved[0]}, folder / "b.npz");
  CHECK(read_npz(folder / "b.npz").size() == 1);
}

TEST_CASE("a file of parameters that does not fit is refused with all that differs, and none set") {
  const TemporaryFolder folder;
  const Shared W(Tensor::from<float>({2}, {1, 2}), "W"), b(Tensor::from<float>({2}, {3, 4}), "b"),
      c(Tensor::from<float>({1}, {5}), "c"), d(Tensor(6.0F), "d");
  const Tensor good = Tensor::from<float>({2}, {7, 8});
  const std::string path = folder / "a.npz";
  write_npz(
      path,
      {{"W", good}, {"b", Tensor::from<double>({2}, {7, 8})}, {"c", good}, {"more", Tensor(1.0)}});
  const std::string error = error_of([&] { load({W, b, c, d}, path); });
  CHECK(error == path +
                     ": does not fit the parameters, of which none was set:\n"
                     "  b is float64 (2,) there, the variable is float32 (2,)\n"
                     "  c is float32 (2,) there, the variable is float32 (1,)\n"
                     "  d is missing: it is to be float32 ()\n"
                     "  more float64 () is no parameter of these\n"
                     "  load(params, path, {.ignore_others = true}) leaves out what the file has "
                     "beyond them");
  CHECK(W.value() == Tensor::from<float>({2}, {1, 2}));
  CHECK(contains(error_of([&] { load({W}, path); }), "more float64 ()"));
  load({W}, path, {.ignore_others = true});
  CHECK(W.value() == good);

  write_npz(path, {{"W", Tensor::from<float>({2}, {1, std::numeric_limits<float>::infinity()})}});
  CHECK(contains(error_of([&] { load({W}, path); }), "W is inf at element 1 there"));
  CHECK(W.value() == good);
  write_npz(path, {});
  CHECK(contains(error_of([&] { load({W}, path); }), "W is missing"));
  write_file(path, "1,2\n3,4\n5,6\n");
  CHECK(contains(error_of([&] { load({W}, path); }), "neither a .npz nor a safetensors file"));
  CHECK(contains(error_of([&] { load({W}, folder / "none.npz"); }), "no such file"));
  CHECK(contains(error_of([&] { save({W}, folder / "a.txt"); }), "end in .npz or .safetensors"));
  CHECK(contains(error_of<ValueError>([&] { save({Shared(Tensor(1.0))}, path); }),
                 "save: a variable (float64 ()"));
  CHECK_THROWS_AS(save({W + 1}, path), TypeError);
}

}  // namespace
}  // namespace cinch

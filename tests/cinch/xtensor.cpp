#include <doctest/doctest.h>

#include <cinch/cinch.hpp>
#include <cinch/xtensor.hpp>
#include <optional>
#include <xtensor/xmath.hpp>
#include <xtensor/xstrided_view.hpp>
#include <xtensor/xview.hpp>

using namespace cinch;

TEST_CASE("arrays of xtensor become tensors whatever their elements, strides and order are") {
  const xt::xarray<double> a{{1, 2, 3}, {4, 5, 6}};
  const Tensor expected = Tensor::from<double>({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(to_tensor(a) == expected);
  CHECK(to_tensor(xt::xtensor<double, 2>(a)) == expected);
  CHECK(to_tensor(xt::xarray<double, xt::layout_type::column_major>(a)) == expected);
  CHECK(to_tensor(xt::transpose(a)) == Tensor::from<double>({3, 2}, {1, 4, 2, 5, 3, 6}));
  CHECK(to_tensor(xt::view(a, xt::all(), xt::range(0, 3, 2))) ==
        Tensor::from<double>({2, 2}, {1, 3, 4, 6}));
  CHECK(to_tensor(xt::view(a, 1, xt::range(xt::placeholders::_, xt::placeholders::_, -1))) ==
        Tensor::from<double>({3}, {6, 5, 4}));
  CHECK(to_tensor(2 * a + 1) == Tensor::from<double>({2, 3}, {3, 5, 7, 9, 11, 13}));
  CHECK(to_tensor(xt::sum(a, {0})) == Tensor::from<double>({3}, {5, 7, 9}));
  CHECK(to_tensor(a > 2.5) == Tensor::from<bool>({2, 3}, {false, false, true, true, true, true}));
  CHECK(to_tensor(xt::xarray<float>{1.5F}) == Tensor::from<float>({1}, {1.5F}));
  CHECK(to_tensor(xt::xarray<std::int64_t>{1, -2}) == Tensor::from<std::int64_t>({2}, {1, -2}));
  CHECK(to_tensor(xt::xarray<std::uint8_t>{1, 255}) == Tensor::from<std::int64_t>({2}, {1, 255}));
  CHECK(to_tensor(xt::xarray<int>{1, -2}) == Tensor::from<std::int64_t>({2}, {1, -2}));
  CHECK(to_tensor(xt::xarray<bool>{true, false}) == Tensor::from<bool>({2}, {true, false}));
  CHECK(to_tensor(xt::xarray<double>(3.0)) == Tensor(3.0));
  CHECK(to_tensor(xt::xarray<double>::from_shape({0, 3})) == Tensor(DType::float64, {0, 3}));
}

TEST_CASE("a tensor is an array of its own memory, which is written and read without a copy") {
  Tensor t = Tensor::from<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  auto view = as_xarray<float>(t);
  CHECK(view.data() == t.data<float>().data());
  CHECK(view.dimension() == 2);
  view(1, 2) = 7;
  CHECK(t(1, 2) == 7);
  view = 2 * view;  // Computed by xtensor, stored in the tensor.
  CHECK(view.data() == t.data<float>().data());
  CHECK(t == Tensor::from<float>({2, 3}, {2, 4, 6, 8, 10, 14}));
  const Tensor& read_only = t;
  const auto matrix = as_xtensor<float, 2>(read_only);
  CHECK(matrix.data() == read_only.data<float>().data());
  CHECK(matrix(1, 0) == 8);
  static_assert(std::is_const_v<std::remove_reference_t<decltype(matrix(1, 0))>>);
  as_xtensor<float, 2>(t)(0, 0) = 5;
  CHECK(t(0, 0) == 5);
  const xt::xarray<float> copy = as_xarray<float>(t);
  t = Tensor(0.0F);
  CHECK(copy(0, 0) == 5);
  Tensor flags = Tensor::from<bool>({2}, {true, false});
  CHECK(as_xarray<bool>(flags)(0));
  Tensor counts = Tensor::from<std::int64_t>({2}, {3, 4});
  CHECK(as_xtensor<std::int64_t, 1>(counts)(1) == 4);
}

TEST_CASE("a tensor that is given away lives as long as its array") {
  Tensor t = Tensor::from<double>({2, 2}, {1, 2, 3, 4});
  const double* memory = t.data<double>().data();
  auto owned = as_xarray<double>(std::move(t));
  CHECK(owned.data() == memory);
  std::optional again{owned};
  CHECK(again->data() == memory);
  again.reset();
  CHECK(owned(1, 1) == 4);
  const Expr x = dvector("x");
  const auto result =
      as_xtensor<double, 1>(evaluate(square(x), {{x, to_tensor(xt::xarray<double>{2, 3})}}));
  CHECK(result(1) == 9);
}

TEST_CASE("an array that is given away becomes a tensor without a copy") {
  const auto moves = [](auto array) {
    const void* memory = array.data();
    const Tensor expected = to_tensor(array);
    const Tensor t = to_tensor(std::move(array));
    CHECK(t == expected);
    return t.raw() == memory;
  };
  CHECK(moves(xt::xarray<float>{{1, 2, 3}, {4, 5, 6}}));
  CHECK(moves(xt::xarray<bool>{true, false, true}));
  CHECK(moves(xt::xarray<std::int64_t>{7}));
  CHECK(moves(xt::xarray<double>(3.0)));
  CHECK(moves(xt::xtensor<double, 3>(xt::ones<double>({2, 3, 4}))));
  // Other elements or another order: a copy, as of what is not given away.
  CHECK_FALSE(moves(xt::xarray<std::int16_t>{1, -2}));
  CHECK_FALSE(moves(xt::xarray<double, xt::layout_type::column_major>{{1, 2, 3}, {4, 5, 6}}));
  double elements[] = {1, 2, 3};
  double* first = elements;
  CHECK_FALSE(moves(xt::adapt(first, 3, xt::no_ownership(), std::vector<std::size_t>{3})));
  const Shared W(to_tensor(xt::xarray<double>{1, 2, 3}), "W");
  const Expr x = dvector("x");
  const Function f = function({.inputs = {x}, .outputs = {dot(x, W)}, .updates = {{W, W + x}}});
  CHECK(f({to_tensor(xt::xarray<double>{1, 1, 1})})[0].item() == 6);
  CHECK(W.get() == Tensor::from({2.0, 3.0, 4.0}));
}

TEST_CASE("other elements and another number of axes than a tensor has are refused") {
  Tensor t = Tensor::from<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK_THROWS_AS(as_xarray<double>(t), TypeError);
  CHECK_THROWS_AS((as_xtensor<double, 2>(t)), TypeError);
  std::string error;
  try {
    as_xtensor<float, 3>(t);
  } catch (const TypeError& refused) {
    error = refused.what();
  }
  CHECK(error ==
        "as_xtensor: an array of 3 axes of a tensor of shape (2, 3): as_xarray() takes any");
  CHECK_THROWS_AS((as_xtensor<float, 3>(Tensor(t))), TypeError);
}

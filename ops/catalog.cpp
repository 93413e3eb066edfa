#include "cinch/ops/catalog.hpp"

#include "cinch/core/derive/derivative_of.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/along.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/convolution.hpp"
#include "cinch/ops/cumulative.hpp"
#include "cinch/ops/determinant.hpp"
#include "cinch/ops/diagonal.hpp"
#include "cinch/ops/eigen.hpp"
#include "cinch/ops/expm.hpp"
#include "cinch/ops/factor.hpp"
#include "cinch/ops/fixed_point.hpp"
#include "cinch/ops/gamma.hpp"
#include "cinch/ops/ifelse.hpp"
#include "cinch/ops/incomplete_gamma.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/linalg/fused_products.hpp"
#include "cinch/ops/logsumexp.hpp"
#include "cinch/ops/nonlinearity.hpp"
#include "cinch/ops/observed.hpp"
#include "cinch/ops/order.hpp"
#include "cinch/ops/pooling.hpp"
#include "cinch/ops/prod.hpp"
#include "cinch/ops/quantile_functions.hpp"
#include "cinch/ops/random.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/rules/positive.hpp"
#include "cinch/ops/rules/root.hpp"
#include "cinch/ops/rules/slopes.hpp"
#include "cinch/ops/scan.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/solve.hpp"
#include "cinch/ops/spanning_tree.hpp"
#include "cinch/ops/special.hpp"
#include "cinch/ops/subtensor.hpp"
#include "cinch/ops/svd.hpp"
#include "cinch/ops/trigonometry.hpp"
#include "cinch/ops/widened.hpp"
#include "cinch/ops/with_gradient.hpp"

namespace cinch {

std::span<const Op* const> all_ops() {
  static constexpr const Op* ops[] = {
      // arithmetic
      &add_op,
      &sub_op,
      &mul_op,
      &div_op,
      &floor_div_op,
      &mod_op,
      &pow_op,
      &maximum_op,
      &minimum_op,
      &neg_op,
      &abs_op,
      &sign_op,
      &square_op,
      &sqrt_op,
      &rules::length_op,
      &floor_op,
      &ceil_op,
      &round_op,
      &trunc_op,
      &equal_op,
      &not_equal_op,
      &less_op,
      &less_equal_op,
      &and_op,
      &or_op,
      &not_op,
      &is_nan_op,
      &switch_op,
      &cast_op,
      &widen_op,
      &copy_op,
      &stop_gradient_op,
      // activation
      &exp_op,
      &expm1_op,
      &log_op,
      &log1p_op,
      &sin_op,
      &cos_op,
      &sigmoid_op,
      &tanh_op,
      &softplus_op,
      &relu_op,
      &softmax_op,
      &log_softmax_op,
      // special
      &exp2_op,
      &log2_op,
      &log10_op,
      &log1mexp_op,
      &logaddexp_op,
      &xlogy_op,
      &xlog1py_op,
      &log_cosh_op,
      &erf_op,
      &erfc_op,
      &erfinv_op,
      &ndtri_op,
      &logit_op,
      &polygamma_op,
      &incomplete_gamma_op,
      &gammaincinv_op,
      &gamma_slope_op,
      &poisson_quantile_op,
      // slopes
      &rules::sech_op,
      &rules::sigmoid_slope_op,
      &rules::one_minus_square_op,
      &rules::normal_cdf_op,
      &rules::exp_of_product_op,
      // trigonometry
      &tan_op,
      &arcsin_op,
      &arccos_op,
      &arctan_op,
      &arctan2_op,
      &hypot_op,
      &sinh_op,
      &cosh_op,
      &arcsinh_op,
      &arccosh_op,
      &arctanh_op,
      // nonlinearity
      &softsign_op,
      // reduce
      &sum_op,
      &max_op,
      &min_op,
      &argmax_op,
      &argmin_op,
      &logsumexp_op,
      &rules::weighted_logsumexp_op,
      &prod_op,
      &recurrence_op,
      &cumsum_op,
      &running_argmax_op,
      // order
      &argsort_op,
      &minimum_spanning_tree_op,
      // shape
      &size_op,
      &dimshuffle_op,
      &reshape_op,
      &broadcast_to_op,
      &sum_like_op,
      &concatenate_op,
      // index
      &narrow_op,
      &embed_op,
      &take_op,
      &scatter_add_op,
      &arange_op,
      &eye_op,
      // along, subtensor
      &take_along_op,
      &records::checked_shape_op,
      &records::checked_label_op,
      &add_along_op,
      &checked_index_op,
      &last_writer_op,
      // diagonal
      &diagonal_op,
      &embed_diagonal_op,
      // linalg
      &dot_op,
      &batched_dot_op,
      &add_dot_op,
      &scaled_add_dot_op,
      &chosen_dot_op,
      &dot_squares_op,
      &squared_differences_op,
      &weighted_differences_op,
      // convolution
      &convolution_op,
      &convolution_data_op,
      &convolution_filters_op,
      // pooling
      &window_sum_op,
      &window_spread_op,
      &window_argmax_op,
      &pick_op,
      &unpool_op,
      // decompositions of matrices
      &inverse_op,
      &solve_op,
      &triangular_solve_op,
      &det_op,
      &cofactors_op,
      &slogdet_op,
      &logdet_op,
      &cholesky_op,
      &qr_op,
      &eigvalsh_op,
      &eigenvectors_op,
      &singular_values_op,
      &singular_vectors_op,
      &pinv_op,
      &expm_op,
      // random
      &random_uniform_op,
      &random_normal_op,
      &checked_parameter_op,
      // loops
      &scan_op,
      &ifelse_op,
      &fixed_point_op,
      // shown to the user
      &observed_op,
      // with gradients of the user's own
      &with_gradient_op,
      // What is a derivative already
      &deriving::derivative_op,
  };
  return ops;
}

const Op& find_op(std::string_view name) {
  for (const Op* op : all_ops()) {
    if (op->name == name) return *op;
  }
  throw TypeError(text("there is no op named ", name));
}

}  // namespace cinch

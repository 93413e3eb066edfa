// Everything a program needs: expressions, derivatives, functions, ops, optimizers, models, data.
#pragma once

#include "core/error.hpp"
#include "core/expr.hpp"
#include "core/function.hpp"
#include "core/grad.hpp"
#include "core/graph.hpp"
#include "core/shared.hpp"
#include "core/tensor.hpp"
#include "core/variables.hpp"
#include "ops/activation.hpp"
#include "ops/arithmetic.hpp"
#include "ops/index.hpp"
#include "ops/linalg.hpp"
#include "ops/random.hpp"
#include "ops/random_state.hpp"
#include "ops/reduce.hpp"
#include "ops/shape.hpp"

// Which cinch this is, and what it needs.
#pragma once

#if !defined(__cplusplus) || __cplusplus < 202002L
#error "cinch needs C++20: compile with -std=c++20, by g++ 12, clang 14 or later"
#endif

#ifdef CINCH_VERSION
#error "Headers of two copies of cinch meet here: leave one of them in the include path"
#endif

/// 10000 major + 100 minor + patch.
#define CINCH_VERSION 100

#include <string_view>

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// The version of the library that the program runs with, as "1.2.3". CINCH_VERSION is that of the
/// headers it was compiled with.
std::string_view version();

}  // namespace cinch

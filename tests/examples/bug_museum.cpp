// The museum as a visitor sees it.
#include <doctest/doctest.h>

#include <string>

#include "support/programs.hpp"

using namespace cinch::testing;

namespace {

Ran visit(const std::string& arguments) { return run_example("bug_museum", arguments); }

}  // namespace

TEST_CASE("bug_museum: audit() catches every published mistake, at the line that makes it") {
  const Ran all = visit("");
  INFO(all.output);
  CHECK(all.status == 0);
  for (const char* expected :
       {"audit() caught 17 of 17 published mistakes", "a constant with the elements of W where W",
        "floor_div stops it", "write a / b", "Without the stop the gradient's norm would be",
        "the slope of a sigmoid, of what relu computes", "is a sum over the examples",
        "is a mean over the 64 values", "it is counted twice", "Hold it: stop_gradient(",
        "half of what there is", "they hardly move", "take the norm along axis 1", "adds a small",
        "nobody learns of it", "beta is given a value", "each is compared with all others",
        "bug_museum.cpp:"}) {
    CAPTURE(expected);
    CHECK(all.output.find(expected) != std::string::npos);
  }
  CHECK(all.output.find("DOES NOT TELL") == std::string::npos);
  int sound = 0;
  const std::string nothing = "Nothing looks like a mistake";
  for (auto at = all.output.find(nothing); at != std::string::npos;
       at = all.output.find(nothing, at + 1)) {
    ++sound;
  }
  CHECK(sound == 17);  // The right versions, and none else.
}

TEST_CASE("bug_museum: one exhibit, the list, and a name that is none") {
  const Ran one = visit("--only integer_division");
  CHECK(one.status == 0);
  CHECK(one.output.find("caught 1 of 1") != std::string::npos);
  CHECK(one.output.find("copied_weights") == std::string::npos);
  CHECK(visit("--list").output.find("vector_loss\n") != std::string::npos);
  const Ran none = visit("--only nothing");
  CHECK(none.status != 0);
  CHECK(none.output.find("copied_weights") != std::string::npos);
}

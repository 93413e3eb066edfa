// Event files as another reader has them: Google's protobuf for Python, with checksums of its own.
#include "cinch/io/tensorboard.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "cinch/io/image.hpp"
#include "support/events.hpp"
#include "support/programs.hpp"
#include "temporary_folder.hpp"

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::read_events, testing::read_file,
    testing::TemporaryFolder, testing::write_file;

constexpr const char* file_name = "/events.out.tfevents.0.cinch";

TEST_CASE("TensorBoard's protocol and checksums are as another reader has them") {
  const TemporaryFolder folder;
  const std::string run = folder / "deep/run", picture = folder / "picture.png";
  write_png(picture,
            GreyImage{.width = 3, .height = 2, .pixels = std::vector<std::uint8_t>(6, 77)});
  EventWriter events(run);
  const auto header = read_events(run + file_name);
  if (!header) return;
  REQUIRE(header->size() == 1);
  CHECK(contains(header->at(0), R"("step": 0)"));
  CHECK(contains(header->at(0), R"("version": "brain.Event:2")"));

  events.scalars(0, {{"loss", 0.5}, {"validation loss", std::nan("")}}, 1234567890.25);
  events.scalars(std::int64_t{1} << 40, {{"loss", -0.1}, {"best", HUGE_VAL}, {"zero", 0}}, 1.0);
  events.image(7, "picture", read_file(picture));
  const auto lines = read_events(run + file_name);
  REQUIRE(lines);
  REQUIRE(lines->size() == 4);
  CHECK(lines->at(1) ==
        R"({"loss": "0.5", "step": 0, "time": 1234567890.25, "validation loss": "nan"})");
  CHECK(
      lines->at(2) ==
      R"({"best": "inf", "loss": "-0.10000000149011612", "step": 1099511627776, "time": 1.0, "zero": "0.0"})");
  CHECK(contains(lines->at(3), R"("picture": [2, 3, 1, "iVBORw0KGgo)"));
  CHECK(contains(lines->at(3), R"("step": 7)"));
}

TEST_CASE("a run's events are begun anew, and by one writer at a time") {
  const TemporaryFolder folder;
  {
    EventWriter first(folder / "run");
    first.scalars(1, {{"first", 1}});
    const std::string before = read_file(folder / "run" + file_name);
    CHECK(contains(error_of([&] { EventWriter(folder / "run"); }),
                   "tfevents.0.cinch: is being written by another run"));
    CHECK(read_file(folder / "run" + file_name) == before);
  }
  EventWriter(folder / "run").scalars(2, {{"second", 2}});
  CHECK_FALSE(contains(read_file(folder / "run" + file_name), "first"));
}

TEST_CASE("what an event file cannot take is an error") {
  const TemporaryFolder folder;
  write_file(folder / "file", "");
  CHECK(
      contains(error_of([&] { EventWriter(folder / "file/run"); }), "file/run: cannot be made: "));
  EventWriter events(folder / "run");
  CHECK(contains(error_of([&] { events.image(0, "p", "GIF89a"); }),
                 "what p is given as is no PNG file"));
}

}  // namespace
}  // namespace cinch

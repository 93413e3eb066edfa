#include "cinch/core/columns.hpp"

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

using namespace cinch;

TEST_CASE("lines are folded at spaces, below their text, and words stay whole") {
  struct Row {
    const char* text;
    int width, indent;
    const char* expected;
  };
  for (const Row& row :
       {Row{"", 5, 0, ""}, Row{"one two", 7, 2, "one two"}, Row{"one two", 6, 2, "one\n  two"},
        Row{"one   two", 4, 0, "one\ntwo"}, Row{"  one two three", 9, 4, "  one two\n    three"},
        Row{"a reallylongword b", 5, 1, "a\n reallylongword\n b"},
        Row{"reallylongword", 5, 1, "reallylongword"},
        Row{"   reallylongword", 5, 1, "   reallylongword"},
        Row{"one two \nthree four\n", 5, 0, "one\ntwo \nthree\nfour\n"},
        Row{"\u03b1\u03b2\u03b3 \u03b4", 5, 0, "\u03b1\u03b2\u03b3 \u03b4"},
        Row{"a b c", 0, 0, "a\nb\nc"}, Row{"a b", -3, 9, "a\n         b"}}) {
    CAPTURE(row.text);
    CHECK(folded(row.text, row.width, row.indent) == row.expected);
  }
}

TEST_CASE("no line is longer than the width, and folding loses no word") {
  std::string text;
  for (int k = 0; k < 300; ++k)
    text += std::string(static_cast<std::size_t>(k * 7 % 11), 'x') + ' ';
  const auto words = [](const std::string& of) {
    std::vector<std::string> result;
    std::istringstream in(of);
    for (std::string word; in >> word;) result.push_back(word);
    return result;
  };
  for (int width = 14; width < 90; ++width) {
    CAPTURE(width);
    const std::string lines = folded(text, width, 4);
    CHECK(words(lines) == words(text));
    std::istringstream in(lines);
    for (std::string line; std::getline(in, line);) CHECK(columns_of(line) <= width);
  }
}

TEST_CASE("a table that has its place stays as it is, another goes on below") {
  const std::vector<std::vector<std::string>> rows{{"term", "value", "norm", "line"},
                                                   {"mean of all", "1.5", "22", "a.cpp:3"},
                                                   {"x", "10", "\u03b1", "b.cpp:14"}};
  CHECK(table(rows, 80) ==
        "  term         value  norm  line\n"
        "  mean of all    1.5    22  a.cpp:3\n"
        "  x               10     \u03b1  b.cpp:14\n");
  CHECK(table(rows, 36) == table(rows, 80));
  CHECK(table(rows, 35) ==
        "  term         value  norm\n"
        "  mean of all    1.5    22\n"
        "  x               10     \u03b1\n"
        "  term         line\n"
        "  mean of all  a.cpp:3\n"
        "  x            b.cpp:14\n");
  CHECK(table({{"a term with many words", "1"}, {"b", "2"}}, 24) ==
        "  a term with many  1\n"
        "      words\n"
        "  b                 2\n");
  CHECK(table({}, 80).empty());
  CHECK(table({{}, {"a"}}, 80) == "\n  a\n");
}

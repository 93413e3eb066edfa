// Writes a page of the manual as a test. Usage: manual_generate PAGE NAME OUTPUT, where NAME is the
// page as errors are to name it: docs/manual/concepts.md.
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>

#include "manual/page.hpp"

using cinch::testing::Block;

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::cerr << "Usage: manual_generate PAGE NAME OUTPUT\n";
    return 1;
  }
  const std::string name = argv[2];
  const std::vector<Block> blocks = cinch::testing::read_page(argv[1]);
  std::ostringstream includes, definitions, run;
  // Lines of the page, so that compilers and formulas name them.
  const auto line_of = [&](const Block& block) {
    return "#line " + std::to_string(block.line) + " \"" + name + "\"\n";
  };
  int open_section = -1;
  const auto close = [&] {
    if (open_section >= 0) definitions << "}\n";
    open_section = -1;
  };
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    const Block& block = blocks[k];
    // Where #include was there is an empty line.
    std::ostringstream code;
    std::istringstream in(block.code);
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("#include ")) {
        includes << line << '\n';
        line.clear();
      }
      const auto entry = line.find("int main()");
      if (entry != std::string::npos) line.replace(entry, 10, "int program()");
      code << line << '\n';
    }
    const std::string begin = "  page.begin(" + std::to_string(k) + ");\n";
    switch (block.kind) {
      case Block::Kind::outside:
        close();
        definitions << line_of(block) << code.str();
        break;
      case Block::Kind::program:
        close();
        definitions << "namespace block_" << k << " {\n" << line_of(block) << code.str() << "}\n";
        run << begin << "  block_" << k << "::program();\n";
        break;
      case Block::Kind::statements:
        if (open_section != block.section) {
          close();
          definitions << "void blocks_from_" << k << "(PageRun& page) {\n";
          run << "  blocks_from_" << k << "(page);\n";
          open_section = block.section;
        }
        definitions << begin << line_of(block) << code.str();
        break;
    }
  }
  close();
  std::ofstream out(argv[3]);
  out << "// Made of " << name << " by tests/manual/generate.cpp.\n"
      << "#include <doctest/doctest.h>\n\n#include <cinch/cinch.hpp>\n#include <iostream>\n"
      << includes.str() << "\n#include \"manual/page.hpp\"\n\nusing namespace cinch;\n"
      << "using cinch::testing::PageRun;\n\nnamespace {\n"
      << definitions.str() << "}\n\nTEST_CASE(\"" << name << " prints what it says\") {\n"
      << "  PageRun page(\"" << name << "\");\n  try {\n"
      << run.str() << "    page.end();\n  } catch (const std::exception& error) {\n"
      << "    page.fail(error);\n  }\n}\n";
  out.close();
  return out ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}

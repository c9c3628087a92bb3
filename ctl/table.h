// A table of text with aligned columns. Columns that are empty in every row are left out, and so, where a row
// would not fit its line, are columns that can be spared; then the longest cells lose their middle. Cells are
// made safe for a terminal when they are added.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace jump::ctl {

enum class Colour { kNone, kGreen, kYellow, kRed, kBold };

struct Cell {
  Cell(std::string_view content, Colour shade = Colour::kNone)
      : text(content), colour(shade) {}                // NOLINT: implicit
  Cell(const std::string& content) : text(content) {}  // NOLINT: implicit
  Cell(const char* content) : text(content) {}         // NOLINT: implicit

  std::string text;
  Colour colour = Colour::kNone;
};

class Table {
 public:
  // `spare`: titles of columns that can be left out, the first of them first.
  explicit Table(std::vector<Cell> titles, std::vector<std::string_view> spare = {});

  void add_row(std::vector<Cell> cells);
  // A line of its own below the last row, for what does not fit a column.
  void add_note(const Cell& note);

  // `line`: columns that the terminal has; 0: no limit.
  std::string render(bool colour, std::size_t line = 0) const;

 private:
  struct Row {
    std::vector<Cell> cells;
    std::vector<Cell> notes;
  };

  using Widths = std::vector<std::size_t>;  // of columns; zero for one that is left out
  Widths widths() const;
  void fit(Widths& widths, std::size_t line) const;

  std::vector<Row> rows_;  // the first holds the titles
  std::vector<std::string_view> spare_;
};

// In columns of a terminal, for text that is one column per code point.
std::size_t display_width(std::string_view text);
// Where it is wider: its beginning and its end, and an ellipsis between them.
std::string shortened(std::string_view text, std::size_t width);
std::string coloured(std::string_view text, Colour colour, bool on);

}  // namespace jump::ctl

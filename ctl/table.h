// A table of text with aligned columns. Columns that are empty in every row are left out. Cells are made safe
// for a terminal when they are added.
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
  explicit Table(std::vector<Cell> titles);

  void add_row(std::vector<Cell> cells);
  // A line of its own below the last row, for what does not fit a column.
  void add_note(const Cell& note);

  std::string render(bool colour) const;

 private:
  struct Row {
    std::vector<Cell> cells;
    std::vector<Cell> notes;
  };

  std::vector<std::size_t> widths() const;

  std::vector<Row> rows_;  // the first holds the titles
};

// In columns of a terminal, for text that is one column per code point.
std::size_t display_width(std::string_view text);
std::string coloured(std::string_view text, Colour colour, bool on);

}  // namespace jump::ctl

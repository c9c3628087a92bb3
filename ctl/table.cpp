#include "ctl/table.h"

#include <algorithm>

#include "ctl/print.h"

namespace jump::ctl {
namespace {

constexpr std::size_t kGap = 2;  // spaces between columns, and before a note

std::string_view escape_of(Colour colour) {
  switch (colour) {
    case Colour::kNone:
      return "";
    case Colour::kGreen:
      return "\x1b[32m";
    case Colour::kYellow:
      return "\x1b[33m";
    case Colour::kRed:
      return "\x1b[31m";
    case Colour::kBold:
      return "\x1b[1m";
  }
  return "";
}

}  // namespace

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string coloured(std::string_view text, Colour colour, bool on) {
  if (!on || colour == Colour::kNone || text.empty()) return std::string(text);
  return std::string(escape_of(colour)).append(text).append("\x1b[0m");
}

Table::Table(std::vector<Cell> titles) {
  for (Cell& title : titles) title.colour = Colour::kBold;
  rows_.push_back(Row{std::move(titles), {}});
}

void Table::add_row(std::vector<Cell> cells) {
  for (Cell& cell : cells) cell.text = sanitized(cell.text);
  rows_.push_back(Row{std::move(cells), {}});
}

void Table::add_note(const Cell& note) {
  rows_.back().notes.push_back(Cell(sanitized(note.text), note.colour));
}

// Zero for a column that is left out.
std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> out(rows_.front().cells.size(), 0);
  for (std::size_t column = 0; column < out.size(); ++column) {
    for (std::size_t row = 1; row < rows_.size(); ++row) {
      out[column] = std::max(out[column], display_width(rows_[row].cells.at(column).text));
    }
    if (out[column] > 0) out[column] = std::max(out[column], display_width(rows_.front().cells[column].text));
  }
  return out;
}

std::string Table::render(bool colour) const {
  const std::vector<std::size_t> width = widths();
  std::string out;
  for (const Row& row : rows_) {
    std::size_t pending = 0;  // spaces owed before the next cell, so that no line ends in some
    for (std::size_t column = 0; column < width.size(); ++column) {
      if (width[column] == 0) continue;
      const Cell& cell = row.cells[column];
      if (!cell.text.empty()) {
        out.append(pending, ' ').append(coloured(cell.text, cell.colour, colour));
        pending = 0;
      }
      pending += width[column] - display_width(cell.text) + kGap;
    }
    out.push_back('\n');
    for (const Cell& note : row.notes) {
      out.append(kGap, ' ').append(coloured(note.text, note.colour, colour)).push_back('\n');
    }
  }
  return out;
}

}  // namespace jump::ctl

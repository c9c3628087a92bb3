#include "ctl/table.h"

#include <algorithm>

#include "ctl/print.h"

namespace jump::ctl {
namespace {

constexpr std::size_t kGap = 2;        // spaces between columns, and before a note
constexpr std::size_t kShortest = 12;  // a cell is not cut below this: "waiting_user" can be read
constexpr std::string_view kEllipsis = "\xe2\x80\xa6";

bool begins_code_point(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

// The bytes of the first `count` code points.
std::size_t bytes_of(std::string_view text, std::size_t count) {
  std::size_t end = 0;
  while (end < text.size() && (count > 0 || !begins_code_point(text[end]))) {
    if (begins_code_point(text[end])) --count;
    ++end;
  }
  return end;
}

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
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_code_point));
}

std::string shortened(std::string_view text, std::size_t width) {
  const std::size_t whole = display_width(text);
  if (whole <= width || width == 0) return std::string(text);
  const std::size_t head = width / 2;
  const std::size_t tail = width - head - 1;
  return std::string(text.substr(0, bytes_of(text, head)))
      .append(kEllipsis)
      .append(text.substr(bytes_of(text, whole - tail)));
}

std::string coloured(std::string_view text, Colour colour, bool on) {
  if (!on || colour == Colour::kNone || text.empty()) return std::string(text);
  return std::string(escape_of(colour)).append(text).append("\x1b[0m");
}

Table::Table(std::vector<Cell> titles, std::vector<std::string_view> spare) : spare_(std::move(spare)) {
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

Table::Widths Table::widths() const {
  Widths out(rows_.front().cells.size(), 0);
  for (std::size_t column = 0; column < out.size(); ++column) {
    for (std::size_t row = 1; row < rows_.size(); ++row) {
      out[column] = std::max(out[column], display_width(rows_[row].cells.at(column).text));
    }
    if (out[column] > 0) out[column] = std::max(out[column], display_width(rows_.front().cells[column].text));
  }
  return out;
}

void Table::fit(Widths& widths, std::size_t line) const {
  const auto total = [&widths] {
    std::size_t sum = 0;
    for (const std::size_t width : widths) sum += width == 0 ? 0 : width + kGap;
    return sum == 0 ? 0 : sum - kGap;
  };
  const std::vector<Cell>& titles = rows_.front().cells;
  for (const std::string_view title : spare_) {
    if (total() <= line) return;
    for (std::size_t i = 0; i < titles.size(); ++i) {
      if (titles[i].text == title) widths[i] = 0;
    }
  }
  while (total() > line) {
    const auto widest = std::max_element(widths.begin(), widths.end());
    if (widest == widths.end() || *widest <= kShortest) return;
    --*widest;
  }
}

std::string Table::render(bool colour, std::size_t line) const {
  Widths width = widths();
  if (line > 0) fit(width, line);
  std::string out;
  for (const Row& row : rows_) {
    std::size_t pending = 0;  // spaces owed before the next cell, so that no line ends in some
    for (std::size_t column = 0; column < width.size(); ++column) {
      if (width[column] == 0) continue;
      const std::string text = shortened(row.cells[column].text, width[column]);
      if (!text.empty()) {
        out.append(pending, ' ').append(coloured(text, row.cells[column].colour, colour));
        pending = 0;
      }
      pending += width[column] - display_width(text) + kGap;
    }
    out.push_back('\n');
    for (const Cell& note : row.notes) {
      out.append(kGap, ' ').append(coloured(note.text, note.colour, colour)).push_back('\n');
    }
  }
  return out;
}

}  // namespace jump::ctl

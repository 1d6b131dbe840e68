//! Prints text in columns: the width of each must be known before the first row is written, so rows are seen
//! twice.

use console::measure_text_width;

use super::wrap::wrapped;

/// The widths of the columns of a table.
pub struct Columns {
    /// The width of the terminal, where it goes to one.
    terminal: Option<usize>,
    widths: Vec<usize>,
}

/// How far lines are set in that go on.
const INDENT: usize = 2;

impl Columns {
    /// Columns without a row yet.
    pub fn new(terminal: Option<usize>) -> Self {
        Self {
            terminal,
            widths: Vec::new(),
        }
    }

    /// Widens the columns to fit a row.
    pub fn fit<C: AsRef<str>>(&mut self, row: &[C]) {
        self.widths.resize(self.widths.len().max(row.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell.as_ref()));
        }
    }

    /// Formats a row that the columns fit as one line. On a terminal that is narrower than the rows, each is
    /// folded into as many lines as it needs: cells are whole, so that a serial number can be copied, and
    /// those of a column stand below each other. Lines that go on are set in.
    pub fn lines<C: AsRef<str>>(&self, row: &[C]) -> String {
        let whole = self.widths.iter().sum::<usize>() + INDENT * self.widths.len().saturating_sub(1);
        let narrow = self.terminal.filter(|columns| whole > *columns);
        let mut text = String::new();
        let mut end_line = |line: &str| {
            let line = line.trim_end();
            match narrow {
                Some(columns) => text.push_str(&wrapped(line, columns, 2 * INDENT)),
                None => text.push_str(line),
            }
            text.push('\n');
        };
        let (mut line, mut end) = (String::new(), 0);
        for (column, (cell, width)) in row.iter().zip(&self.widths).enumerate() {
            let cell = cell.as_ref();
            if column > 0 && narrow.is_some_and(|columns| end + INDENT + width > columns) {
                end_line(&line);
                (line, end) = (" ".repeat(INDENT), INDENT);
            } else if column > 0 {
                line.push_str("  ");
                end += 2;
            }
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - measure_text_width(cell)));
            end += width;
        }
        end_line(&line);
        text
    }
}

//! A table as CSV, Markdown and LaTeX.

use crate::cells::{Cell, Style, fixed, latex_text};
use crate::columns::Columns;
use crate::table::{Head, Table};
use crate::value::Value;

/// What † means.
pub const NOTE: &str = "† within noise of the baseline: the p-value of the difference, corrected for the number of comparisons, is above 0.05.";

impl Table {
    /// The data columns: every column under its own name with full precision, an interval as three columns.
    pub fn columns(&self) -> Columns {
        let mut columns = Vec::new();
        for (i, head) in self.heads.iter().enumerate() {
            let cells = || self.rows.iter().map(move |row| &row[i]);
            columns.push((head.name.clone(), cells().map(data).collect()));
            if cells().any(|cell| matches!(cell, Cell::Interval { .. })) {
                let end = |pick: fn(f64, f64) -> f64| {
                    cells()
                        .map(|cell| match *cell {
                            Cell::Interval { lower, upper, .. } => Value::Number(pick(lower, upper)),
                            _ => Value::Null,
                        })
                        .collect()
                };
                columns.push((format!("{}_lower", head.name), end(|lower, _| lower)));
                columns.push((format!("{}_upper", head.name), end(|_, upper| upper)));
            }
        }
        Columns::new(columns)
    }

    /// CSV by RFC 4180: the columns of [`Table::columns`], full precision.
    pub fn csv(&self) -> String {
        self.columns().csv()
    }

    /// A pipe table with its caption.
    pub fn markdown(&self) -> String {
        let escape = |text: String| text.replace('|', "\\|");
        let mut out = String::new();
        if !self.caption.is_empty() {
            out.push_str(&format!("{}\n\n", self.caption));
        }
        let heads: Vec<String> = self.heads.iter().map(|head| escape(title(head))).collect();
        let rules = (0..self.heads.len()).map(|i| if self.numeric(i) { "---:" } else { ":---" });
        out.push_str(&format!("| {} |\n", heads.join(" | ")));
        out.push_str(&format!("| {} |\n", rules.collect::<Vec<_>>().join(" | ")));
        for (row, marks) in self.rows.iter().zip(&self.marks) {
            let cells = row.iter().zip(marks).zip(&self.heads).map(|((cell, mark), head)| {
                let text = escape(self.show(cell, head, Style::Unicode));
                let text = if mark.best() { format!("**{text}**") } else { text };
                if mark.within_noise() { format!("{text} †") } else { text }
            });
            out.push_str(&format!("| {} |\n", cells.collect::<Vec<_>>().join(" | ")));
        }
        if self.any_within_noise() {
            out.push_str(&format!("\n{NOTE}\n"));
        }
        out
    }

    /// A LaTeX `table` with the rules of `booktabs`.
    pub fn latex(&self) -> String {
        let align: String = (0..self.heads.len()).map(|i| if self.numeric(i) { 'r' } else { 'l' }).collect();
        let heads: Vec<String> = self.heads.iter().map(|head| latex_text(&title(head))).collect();
        let mut out = String::from("% needs \\usepackage{booktabs}\n\\begin{table}\n  \\centering\n");
        if !self.caption.is_empty() {
            out.push_str(&format!("  \\caption{{{}}}\n", latex_text(&self.caption)));
        }
        if !self.label.is_empty() {
            out.push_str(&format!("  \\label{{{}}}\n", self.label));
        }
        out.push_str(&format!(
            "  \\begin{{tabular}}{{{align}}}\n    \\toprule\n    {} \\\\\n    \\midrule\n",
            heads.join(" & ")
        ));
        for (row, marks) in self.rows.iter().zip(&self.marks) {
            let cells = row.iter().zip(marks).zip(&self.heads).map(|((cell, mark), head)| {
                let text = self.show(cell, head, Style::Latex);
                let text = match mark.best() {
                    true if text.starts_with('$') => format!("$\\boldsymbol{{{}}}$", text.trim_matches('$')),
                    true => format!("\\textbf{{{text}}}"),
                    false => text,
                };
                if mark.within_noise() { format!("{text}$^\\dagger$") } else { text }
            });
            out.push_str(&format!("    {} \\\\\n", cells.collect::<Vec<_>>().join(" & ")));
        }
        out.push_str("    \\bottomrule\n  \\end{tabular}\n");
        if self.any_within_noise() {
            out.push_str(&format!("\n  \\smallskip{{\\footnotesize {}}}\n", latex_text(NOTE)));
        }
        out.push_str("\\end{table}\n");
        out
    }

    /// The text of a cell under its head.
    pub fn show(&self, cell: &Cell, head: &Head, style: Style) -> String {
        let named = match cell {
            Cell::Text(text) => self.names.of(&head.name, text),
            Cell::Bool(value) => self.names.of(&head.name, &value.to_string()),
            _ => None,
        };
        match (named, cell.single().zip(head.decimals)) {
            (Some(name), _) => Cell::Text(name.to_owned()).show(head.digits, style),
            (None, Some((value, decimals))) => fixed(value, decimals, style),
            (None, None) => cell.show(head.digits, style),
        }
    }

    /// Whether a column is aligned like numbers.
    pub fn numeric(&self, column: usize) -> bool {
        self.rows.iter().any(|row| row[column].numeric())
            && self.rows.iter().all(|row| row[column].numeric() || row[column] == Cell::Empty)
    }

    /// Whether some cell is marked as within the noise, so that [`NOTE`] belongs below.
    pub fn any_within_noise(&self) -> bool {
        self.marks.iter().flatten().any(|mark| mark.within_noise())
    }
}

fn data(cell: &Cell) -> Value {
    match cell {
        Cell::Empty => Value::Null,
        Cell::Bool(value) => Value::Bool(*value),
        Cell::Text(text) => Value::Text(text.clone()),
        Cell::Integer(value) => Value::Integer(*value),
        Cell::Number(value) | Cell::Interval { value, .. } => Value::Number(*value),
    }
}

fn title(head: &Head) -> String {
    match &head.unit {
        Some(unit) => format!("{} ({unit})", head.title),
        None => head.title.clone(),
    }
}

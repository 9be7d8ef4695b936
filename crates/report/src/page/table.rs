//! A table for print as HTML.

use maud::{Markup, html};
use onsager_tables::cells::Style;
use onsager_tables::table::Table;

/// A cell of more characters is broken into lines.
const WORDY: usize = 32;

/// The `table` element, without its caption; numbers are aligned at the right in figures of equal width.
pub fn html(table: &Table) -> Markup {
    // A column of long texts gets room for several words in a line.
    let wordy = |i: usize| {
        table.rows.iter().zip(&table.heads[i..=i]).any(|(row, head)| {
            row.get(i).is_some_and(|cell| table.show(cell, head, Style::Unicode).chars().count() > WORDY)
        })
    };
    let class = |i: usize| match table.numeric(i) {
        true => Some("n"),
        false => wordy(i).then_some("t"),
    };
    let classes: Vec<Option<&str>> = (0..table.heads.len()).map(class).collect();
    let class = |i: usize| classes.get(i).copied().flatten();
    html! {
        table {
            thead { tr {
                @for (i, head) in table.heads.iter().enumerate() {
                    th scope="col" class=[class(i)] {
                        (head.title)
                        @if let Some(unit) = &head.unit { " " small { "(" (unit) ")" } }
                    }
                }
            } }
            tbody {
                @for (row, marks) in table.rows.iter().zip(&table.marks) {
                    tr {
                        @for (i, ((cell, mark), head)) in row.iter().zip(marks).zip(&table.heads).enumerate() {
                            @let text = table.show(cell, head, Style::Unicode);
                            td class=[class(i)] {
                                @if mark.best() { b { (text) } } @else { (text) }
                                @if mark.within_noise() { sup { "†" } }
                            }
                        }
                    }
                    "\n"
                }
            }
        }
    }
}

//! A table for print as HTML.

use maud::{Markup, html};
use onsager_tables::cells::Style;
use onsager_tables::render::NOTE;
use onsager_tables::table::{Mark, Table};

/// The `table` element, without its caption; numbers are aligned at the right in figures of equal width.
pub fn html(table: &Table) -> Markup {
    let class = |i: usize| table.numeric(i).then_some("n");
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
                                @match mark {
                                    Mark::None => (text),
                                    Mark::Best => b { (text) },
                                    Mark::WithinNoise => { (text) sup { "†" } },
                                }
                            }
                        }
                    }
                    "\n"
                }
            }
        }
        @if table.any_within_noise() { p.note { (NOTE) } }
    }
}

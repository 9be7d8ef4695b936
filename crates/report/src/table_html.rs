//! A table for print as HTML.

use super::markup::escape;
use onsager_tables::cells::Style;
use onsager_tables::render::NOTE;
use onsager_tables::table::{Mark, Table};

/// The `table` element, without its caption; numbers are aligned at the right in figures of equal width.
pub fn html(table: &Table) -> String {
    let class = |i: usize| if table.numeric(i) { " class=\"n\"" } else { "" };
    let mut out = String::from("<table>\n<thead><tr>");
    for (i, head) in table.heads.iter().enumerate() {
        let unit =
            head.unit.as_ref().map_or(String::new(), |unit| format!(" <small>({})</small>", escape(unit)));
        out.push_str(&format!("<th scope=\"col\"{}>{}{unit}</th>", class(i), escape(&head.title)));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (row, marks) in table.rows.iter().zip(&table.marks) {
        out.push_str("<tr>");
        for (i, ((cell, mark), head)) in row.iter().zip(marks).zip(&table.heads).enumerate() {
            let text = escape(&table.show(cell, head, Style::Unicode));
            let text = match mark {
                Mark::None => text,
                Mark::Best => format!("<b>{text}</b>"),
                Mark::WithinNoise => format!("{text}<sup>†</sup>"),
            };
            out.push_str(&format!("<td{}>{text}</td>", class(i)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
    if table.any_within_noise() {
        out.push_str(&format!("<p class=\"note\">{NOTE}</p>\n"));
    }
    out
}

//! Tables of fields with a character between them: CSV by RFC 4180 and its relatives.
//!
//! The first line holds the names of the columns. It tells what is between the fields: tabs if it has one, else commas, else
//! semicolons. Lines that begin with `#` are comments, before the names always, and later unless they have as many fields as a
//! row. Where the names are in the last comment (`# x,y`, as NumPy writes them) and numbers follow, they are taken from there.

use crate::columns::Columns;
use crate::text::typed;
use crate::value::Value;

/// The crate `csv` takes the end of a text for the end of an open quotation: a last record of our own, of a character that
/// no table holds, shows whether it was.
const END: &str = "\u{1}";

/// The table of a text; or the line and what is wrong with it.
pub fn table(text: &str) -> Result<Columns, (usize, String)> {
    let Head { at, line: mut first, delimiter, comment } = head(text);
    first -= 1;
    let text = format!("{}\n{END}\n", &text[at..]);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut columns: Option<Vec<(String, Vec<Value>)>> = None;
    let (mut record, mut line) = (csv::StringRecord::new(), first + 1);
    while reader.read_record(&mut record).map_err(|error| (line, error.to_string()))? {
        line = record.position().map_or(1, |position| line_of(&text, position)) + first;
        let rest = record.position().and_then(|position| text.get(position.byte() as usize..));
        let rest = rest.unwrap_or_default().trim_start_matches(['\n', '\r']);
        if rest.trim_end() == END {
            return columns.map(Columns::new).ok_or((1, "the table is empty".into()));
        }
        match &mut columns {
            None => {
                let names = match named(&record, comment, delimiter) {
                    Names::Here => record.iter().map(str::to_owned).collect(),
                    Names::Comment(names) => names,
                    Names::Nowhere => {
                        let message = "numbers, where the names of the columns are needed";
                        return Err((line, message.into()));
                    }
                };
                let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
                sorted.sort_unstable();
                if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Err((line, format!("two columns are called `{}`", twice[0])));
                }
                let here = names.iter().map(String::as_str).eq(record.iter());
                let mut all: Vec<(String, Vec<Value>)> =
                    names.into_iter().map(|name| (name, Vec::new())).collect();
                if !here {
                    push(&record, &mut all);
                }
                columns = Some(all);
            }
            Some(columns) if record.len() == columns.len() => push(&record, columns),
            Some(_) if rest.starts_with('#') => {}
            Some(_) if record.iter().next_back().is_some_and(|field| field.ends_with("\u{1}\n")) => break,
            Some(columns) => {
                return Err((
                    line,
                    format!("{} fields where the header has {}", record.len(), columns.len()),
                ));
            }
        }
    }
    Err((line, "a quoted field is not closed".into()))
}

fn push(record: &csv::StringRecord, columns: &mut [(String, Vec<Value>)]) {
    record.iter().zip(columns).for_each(|(field, (_, values))| values.push(typed(field)));
}

/// What comes before the names of the columns.
struct Head<'a> {
    /// Where the line with the names begins, and its number from 1.
    at: usize,
    line: usize,
    delimiter: u8,
    /// The comment right above it.
    comment: Option<&'a str>,
}

fn head(text: &str) -> Head<'_> {
    let (mut at, mut number, mut comment) = (0, 1, None);
    for line in text.split_inclusive('\n') {
        let shown = line.trim_end_matches(['\n', '\r']);
        if shown.starts_with('#') {
            comment = Some(shown.trim_start_matches('#'));
        } else if !shown.is_empty() {
            return Head { at, line: number, delimiter: delimiter(shown), comment };
        }
        at += line.len();
        number += 1;
    }
    Head { at, line: number, delimiter: b',', comment }
}

/// What is between the fields of this line; what is inside quotes does not count.
fn delimiter(line: &str) -> u8 {
    let mut quoted = false;
    let mut found = [false; 3];
    for byte in line.bytes() {
        quoted ^= byte == b'"';
        if let Some(which) = b"\t,;".iter().position(|known| *known == byte && !quoted) {
            found[which] = true;
        }
    }
    match found {
        [true, ..] => b'\t',
        [_, false, true] => b';',
        _ => b',',
    }
}

/// Where the names of the columns are.
enum Names {
    Here,
    Comment(Vec<String>),
    Nowhere,
}

/// Below a comment the first line may be numbers already: then the comment must hold the names.
fn named(first: &csv::StringRecord, comment: Option<&str>, delimiter: u8) -> Names {
    let number = |field: &str| field.trim().parse::<f64>().is_ok();
    let (Some(comment), true) = (comment, first.iter().any(number)) else { return Names::Here };
    let names: Vec<String> =
        comment.split(char::from(delimiter)).map(|name| name.trim().to_owned()).collect();
    let word = |name: &String| !name.is_empty() && !name.contains(char::is_whitespace) && !number(name);
    match names.len() == first.len() && names.iter().all(word) {
        true => Names::Comment(names),
        false if first.iter().all(number) => Names::Nowhere,
        false => Names::Here,
    }
}

/// The line on which a record begins: the reader's position is before the empty lines that it skips.
fn line_of(text: &str, position: &csv::Position) -> usize {
    let before = &text.as_bytes()[position.byte() as usize..];
    let empty = before.iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
    position.line() as usize + empty.filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Columns {
        table(text).unwrap()
    }

    #[test]
    fn fields_may_be_quoted() {
        let table = read("a,b,\"c,d\"\r\n1,\"x \"\"y\"\"\nz\",\r\n2,w,0.5\n");
        assert_eq!(table.names(), ["a", "b", "c,d"]);
        assert_eq!(table.values("b", "t").unwrap()[0], Value::Text("x \"y\"\nz".into()));
        assert_eq!(table.values("c,d", "t").unwrap(), [Value::Null, Value::Number(0.5)]);
        let error = |text: &str| super::table(text).unwrap_err();
        assert_eq!(error("a\n\"open"), (2, "a quoted field is not closed".into()));
        assert_eq!(error("a,b\n\n1,2\n3,\"open\n\n"), (4, "a quoted field is not closed".into()));
        assert_eq!(error("a,b\n\n\"x\ny\",2\n\n\n1\n"), (7, "1 fields where the header has 2".into()));
        assert_eq!(error("\n\r\n"), (1, "the table is empty".into()));
        assert_eq!(error("# only this\n"), (1, "the table is empty".into()));
    }

    #[test]
    fn tabs_and_semicolons_part_fields_too() {
        let table = read("a\tb,c\n1\tx;y\n");
        assert_eq!(table.names(), ["a", "b,c"]);
        assert_eq!(table.values("b,c", "t").unwrap(), [Value::Text("x;y".into())]);
        assert_eq!(read("a;b\n1;2\n").values("b", "t").unwrap(), [Value::Integer(2)]);
        assert_eq!(read("\"a;\tb\",c\n1,2\n").names(), ["a;\tb", "c"]);
    }

    #[test]
    fn comments_are_passed_over_and_rows_never() {
        let table = read("# made by x, y and z\n#\n\nname,v\n#1,2\n# done, with that, all\nb,3\n");
        assert_eq!(table.names(), ["name", "v"]);
        assert_eq!(table.values("name", "t").unwrap(), [Value::Text("#1".into()), Value::Text("b".into())]);
        let error = |text: &str| super::table(text).unwrap_err();
        assert_eq!(error("# a\nx,y\n1,2\n3\n"), (4, "1 fields where the header has 2".into()));
    }

    #[test]
    fn names_in_a_comment_above_numbers_are_the_names() {
        let table = read("# seed 7\n# x, y\n1.5,2\n3,4\n");
        assert_eq!(table.names(), ["x", "y"]);
        assert_eq!(table.values("x", "t").unwrap(), [Value::Number(1.5), Value::Number(3.0)]);
        assert_eq!(read("# x,y\na,b\n1,2\n").names(), ["a", "b"]);
        let error = super::table("# by hand\n1,2\n3,4\n").unwrap_err();
        assert_eq!(error, (2, "numbers, where the names of the columns are needed".into()));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let table = read("a,b,c,d\n 1, nan,18446744073709551616,18446744073709551617\n-2,-inf,1e400,1_000\n");
        let column = |name: &str| table.values(name, "t").unwrap().to_vec();
        assert_eq!(column("a"), [Value::Integer(1), Value::Integer(-2)]);
        assert!(
            matches!(column("b")[..], [Value::Number(a), Value::Number(b)] if a.is_nan() && b == f64::NEG_INFINITY)
        );
        assert_eq!(column("c")[0], Value::Number(18_446_744_073_709_551_616.0));
        assert_eq!(column("d"), [Value::Text("18446744073709551617".into()), Value::Text("1_000".into())]);
    }
}

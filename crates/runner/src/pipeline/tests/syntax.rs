//! Files that are no YAML, or none that a pipeline can be, and numbers that would change on their way.

use super::{errors, load, load_with};
use serde_json::{Value, json};

#[test]
fn one_file_is_one_document() {
    assert_eq!(
        errors("name: x\n---\nname: y\n"),
        "\
error: a second YAML document begins here, and one file is one document
 --> pipelines/test.yaml:3:1
  |
3 | name: y
  | ^
  = help: remove the `---` before it, or put it into a file of its own

1 error in pipelines/test.yaml"
    );
}

/// The messages with their places.
fn messages(source: &str) -> Vec<String> {
    let wrong = load_with(source, &[]).expect_err("it is wrong");
    let told = wrong.all.iter().map(|one| {
        let place =
            one.place.as_ref().map_or("-".to_owned(), |place| format!("{}:{}", place.line, place.column));
        format!("{place} {}", one.message)
    });
    told.collect()
}

#[test]
fn what_is_no_yaml_is_told_in_plain_words() {
    let deep = format!("name: x\nparams: {{a: {}{}}}\n", "[".repeat(100), "]".repeat(100));
    let cases = [
        (deep.as_str(), "2:75 lists and mappings are nested more than 64 deep"),
        ("name: x\nstages:\n\ts: 1\n", "3:2 a tab cannot indent YAML"),
        ("name: \"x\nstages: 1\n", "1:7 this quote is not closed"),
        ("name: x\nstages: [s\n", "2:9 this bracket is not closed"),
        ("name: x\nstages: {s: {kind: motion}\n", "2:9 this bracket is not closed"),
        ("name: x\nparams: *a\n", "2:9 this alias (`*name`) has no anchor (`&name`) before it"),
        ("name: x\nparams: {[1]: 2}\n", "2:10 a key must be text, not a list or a mapping"),
        ("name: x\nparams: {~: 3}\n", "2:10 a key is empty"),
        ("name: x: y\n", "1:8 there cannot be a `:` here"),
        ("name: \"a\\q\"\n", "1:7 there is no such escape in double quotes"),
        ("name: x\nparams: [1 2, {a: 1 b: 2}]\n", "2:22 a `,` or `}` is missing before this"),
    ];
    for (source, expected) in cases {
        assert_eq!(messages(source), [expected], "{source}");
    }
    let indented = messages("name: x\nstages:\n  s:\n    kind: motion\n   run: x\n");
    assert!(indented[0].starts_with("5:4 this line fits into no mapping: "), "{indented:?}");
    // None of it is the library's word.
    let bomb = "name: x\nparams:\n  a: &a [1, 1]\n".to_owned()
        + &(0..40)
            .map(|i| {
                format!(
                    "  b{i}: &b{i} [*{0}, *{0}]\n",
                    if i == 0 { "a".into() } else { format!("b{}", i - 1) }
                )
            })
            .collect::<String>();
    let told = messages(&bomb);
    assert!(told[0].contains("the aliases (`*name`) of the file repeat more"), "{told:?}");
}

fn params(params: &str) -> String {
    format!("name: x\nparams: {{{params}}}\nstages: {{s: {{kind: motion, params: {{system: free}}}}}}\n")
}

/// The value of the parameter `a`.
fn value(text: &str) -> Value {
    load(&params(&format!("a: {text}"))).points[0].params["a"].clone()
}

#[test]
fn numbers_are_those_of_the_core_schema() {
    for (text, expected) in [
        ("9223372036854775807", json!(9223372036854775807i64)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("18446744073709551615", json!(u64::MAX)),
        ("+5", json!(5)),
        ("-0", json!(0)),
        ("0x1F", json!(31)),
        ("0o17", json!(15)),
        ("2e7", json!(20_000_000)),
        ("1.5e30", json!(1.5e30)),
        (".5", json!(0.5)),
        ("1_000", json!("1_000")),
        ("1_000.5", json!("1_000.5")),
        ("0b11", json!("0b11")),
        ("-0b11", json!("-0b11")),
        ("-0x10", json!("-0x10")),
        ("0X1F", json!("0X1F")),
        ("007", json!("007")),
        ("1:30", json!("1:30")),
        ("'18446744073709551616'", json!("18446744073709551616")),
        ("'1_000'", json!("1_000")),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn whole_numbers_beyond_64_bits_are_refused() {
    for text in [
        "18446744073709551616",
        "-9223372036854775809",
        "123456789012345678901234567890",
        "0xFFFFFFFFFFFFFFFFF",
        "0o7777777777777777777777777",
    ] {
        let expected = format!("2:13 `{text}` is too large for a whole number, which has at most 64 bits");
        assert_eq!(messages(&params(&format!("a: {text}"))), [expected]);
    }
    let set = load_with(&params("a: 1"), &["a=18446744073709551616"]).expect_err("too large").to_string();
    assert!(set.contains("`18446744073709551616` is too large") && set.contains("--> --set a="), "{set}");
    assert_eq!(messages(&params("a: 1e400")), ["2:13 a parameter cannot be the number `1e400`"]);
}

/// `a0` ten times in `a1`, that ten times in `a2`, and so on: in the end 100 GB.
fn bomb(first: &str, level: impl Fn(&str) -> String) -> String {
    let levels = (1..=10).map(|i| format!("  a{i}: {}\n", level(&format!("${{params.a{}}}", i - 1))));
    format!(
        "name: x\nparams:\n  a0: {first}\n{}stages: {{s: {{kind: motion, params: {{system: '${{params.a10}}'}}}}}}\n",
        levels.collect::<String>()
    )
}

#[test]
fn values_that_grow_beyond_all_bounds_are_refused() {
    let texts = bomb("0123456789", |before| format!("'{}'", before.repeat(10)));
    assert_eq!(messages(&texts), ["9:8 `${params.a5}` makes this value larger than 1 MiB"]);
    let lists = bomb("[1, 2]", |before| format!("[{}]", vec![format!("'{before}'"); 10].join(", ")));
    assert_eq!(messages(&lists), ["8:73 `${params.a4}` makes this value larger than 1 MiB"]);
    // A text of a megabyte, given to a thousand parameters.
    let long = format!("  a: {}\n", "x".repeat(1 << 20));
    let many: String = (0..3000).map(|i| format!("  b{i}: '${{params.a}}'\n")).collect();
    let source =
        format!("name: x\nparams:\n{long}{many}stages: {{s: {{kind: motion, params: {{system: free}}}}}}\n");
    let told = messages(&source);
    assert!(told[0].contains("`${params.a}` makes"), "{}", told[0]);
}

#[test]
fn an_unknown_kind_is_all_that_is_told_of_its_stage() {
    let source = "\
name: x
stages:
  s: {kind: comand, run: 'echo ${inputs.t} > ${outputs.o}', inputs: {t: motion.tubes}, outputs: {o: o.txt}}
  motion: {kind: motion, params: {system: free}}
  t: {kind: command, run: 'cat ${inputs.s} > ${outputs.o}', inputs: {s: s.o}, outputs: {o: o.txt}}
";
    assert_eq!(messages(source), ["3:13 there is no kind `comand`"]);
}

#[test]
fn what_needs_a_wrong_parameter_has_nothing_to_add() {
    let source = params("a: '${params.none}', b: '${params.a}', c: '${params.b}', d: '${params.e}', e: 1");
    assert_eq!(
        messages(&source),
        [
            "2:14 `${params.none}` names no parameter of the pipeline",
            "2:71 `${params.e}` is used before it is known"
        ]
    );
}

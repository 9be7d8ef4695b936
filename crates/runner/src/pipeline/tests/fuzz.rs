//! No text makes the loader panic, however it is mangled.

use crate::pipeline::tests::load_with;
use proptest::prelude::*;

const GOOD: &str = r#"
name: good
params: {seed: 7, list: [1, 2], net: {width: 3}}
stages:
  motion:
    kind: motion
    matrix: {system: [free, harmonic], seed: "${params.list}", zip: {a: [1, 2], b: [x, {name: y, z: 1}]}, exclude: [{system: free, seed: 1}], include: [{system: morse, seed: [3, 4], a: 1, b: y}]}
    params: {system: "${matrix.system}", diffusion: 2e3, layers: [{x: 1}]}
    resources: {threads: 2, memory: 1GiB, time: 1h30m}
  fit: {kind: fit, inputs: {tubes: ["motion", "motion[system=free,seed=2].tubes", {file: Cargo.toml}], model: "motion[system=morse,seed=3].paths"}}
  plot:
    kind: command
    inputs: {a: fit}
    run: "cat ${inputs.a} $${x} > ${outputs.b}"
    outputs: {b: b.txt}
    env: {N: 1}
"#;

/// Pieces that mean something to the parser.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "${",
            "}",
            "$",
            "${params.seed}",
            "${matrix.system}",
            "[",
            "]",
            "{",
            "}",
            ":",
            ": ",
            ",",
            "\n",
            "\n  ",
            "- ",
            "&a ",
            "*a",
            "<<: ",
            "|\n",
            ">",
            "'",
            "\"",
            "#",
            "~",
            ".inf",
            "1e400",
            "-",
            "name",
            "stages",
            "kind: fit",
            "file",
            "matrix",
            "include",
            "motion",
            ".",
            "=",
            "é",
            "\u{feff}",
            "\t",
            "\r\n",
            "---\n",
            "!!int ",
            "? ",
            "0x",
            "[matching]",
            "999999999999999999999",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(pieces in prop::collection::vec(piece(), 0..40)) {
        if let Err(diagnostics) = load_with(&pieces.concat(), &[]) {
            prop_assert!(!diagnostics.all.is_empty());
            prop_assert!(!diagnostics.to_string().is_empty());
        }
    }

    #[test]
    fn a_good_file_with_a_piece_replaced(at in 0.0..1.0f64, length in 0usize..20, piece in piece()) {
        let mut start = (at * GOOD.len() as f64) as usize;
        while !GOOD.is_char_boundary(start) { start -= 1; }
        let end = (start + length).min(GOOD.len());
        let text = format!("{}{piece}{}", &GOOD[..start], &GOOD[end..]);
        if let Err(diagnostics) = load_with(&text, &[]) {
            prop_assert!(!diagnostics.to_string().is_empty());
        }
    }

    #[test]
    fn any_value_set(key in prop::sample::select(vec!["seed", "stages.motion.matrix.system", "stages.motion.params", "stages.fit.inputs.tubes", "stages.plot.run", "stages.plot.outputs.b", "stages.x.y"]), pieces in prop::collection::vec(piece(), 0..6)) {
        let set = format!("{key}={}", pieces.concat());
        if let Err(diagnostics) = load_with(GOOD, &[&set]) {
            prop_assert!(!diagnostics.to_string().is_empty());
        }
    }
}

#[test]
fn the_good_file_is_good() {
    crate::pipeline::tests::load(GOOD);
}

/// Nesting far beyond what a pipeline needs is refused, not followed.
#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let text = format!("name: x\nparams: {{deep: {}1{}}}\n", open.repeat(5000), close.repeat(5000));
        assert!(load_with(&text, &[]).is_err());
    }
}

/// Aliases that would unfold without end are refused.
#[test]
fn alias_bombs_are_refused() {
    let mut text = String::from("name: x\nparams:\n  a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("  a{level}: &a{level} [{items}]\n");
    }
    assert!(load_with(&text, &[]).is_err());
}

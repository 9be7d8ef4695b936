//! The exact text of errors in the fields of a file and in its YAML.

use crate::pipeline::tests::errors;

/// Unknown fields, at every level, with the field that was meant.
#[test]
fn unknown_fields() {
    let source = r#"
nmae: x
name: x
stages:
  m: {kind: motion, parms: {}, params: {system: free}, resources: {thread: 2}}
  n: {kind: fit, inputs: {tubes: {fil: Cargo.toml}}}
"#;
    let expected = r#"
error: unknown field `nmae`
 --> pipelines/test.yaml:1:1
  |
1 | nmae: x
  | ^^^^
  = help: did you mean `name`?

error: unknown field `parms`
 --> pipelines/test.yaml:4:21
  |
4 |   m: {kind: motion, parms: {}, params: {system: free}, resources: {thread: 2}}
  |                     ^^^^^
  = help: did you mean `params`?

error: unknown field `thread`
 --> pipelines/test.yaml:4:68
  |
4 |   m: {kind: motion, parms: {}, params: {system: free}, resources: {thread: 2}}
  |                                                                    ^^^^^^
  = help: did you mean `threads`?; a pool is declared at the top of the file: `pools: {gpu: 1}`

error: unknown field `fil`
 --> pipelines/test.yaml:5:35
  |
5 |   n: {kind: fit, inputs: {tubes: {fil: Cargo.toml}}}
  |                                   ^^^
  = help: did you mean `file`?

4 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn wrong_types() {
    let source = r#"
name: 3
params: [1]
stages:
  empty:
  list: [1]
  m: {kind: [motion], params: 3, inputs: x, resources: 1, matrix: 4}
"#;
    let expected = r#"
error: `name` must be text, but is the number 3
 --> pipelines/test.yaml:1:7
  |
1 | name: 3
  |       ^
  = help: put it in quotes

error: `params` must be a mapping, but is a list
 --> pipelines/test.yaml:2:9
  |
2 | params: [1]
  |         ^
  = help: write `params: {name: value}`

error: stage `empty` must be a mapping, but is empty
 --> pipelines/test.yaml:4:3
  |
4 |   empty:
  |   ^^^^^
  = help: give it at least a `kind`

error: stage `list` must be a mapping, but is a list
 --> pipelines/test.yaml:5:9
  |
5 |   list: [1]
  |         ^
  = help: give it at least a `kind`

error: `kind` must be text, but is a list
 --> pipelines/test.yaml:6:13
  |
6 |   m: {kind: [motion], params: 3, inputs: x, resources: 1, matrix: 4}
  |             ^

error: `params` must be a mapping, but is the number 3
 --> pipelines/test.yaml:6:31
  |
6 |   m: {kind: [motion], params: 3, inputs: x, resources: 1, matrix: 4}
  |                               ^
  = help: write `params: {name: value}`

error: `inputs` must be a mapping, but is the text "x"
 --> pipelines/test.yaml:6:42
  |
6 |   m: {kind: [motion], params: 3, inputs: x, resources: 1, matrix: 4}
  |                                          ^
  = help: write `inputs: {name: value}`

error: `resources` must be a mapping, but is the number 1
 --> pipelines/test.yaml:6:56
  |
6 |   m: {kind: [motion], params: 3, inputs: x, resources: 1, matrix: 4}
  |                                                        ^
  = help: write `resources: {name: value}`

error: `matrix` must be a mapping of axes, but is the number 4
 --> pipelines/test.yaml:6:67
  |
6 |   m: {kind: [motion], params: 3, inputs: x, resources: 1, matrix: 4}
  |                                                                   ^
  = help: write `matrix: {seed: [1, 2, 3]}`

9 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

/// Names that cannot be, names given twice.
#[test]
fn names() {
    let source = r#"
name: My pipeline
params: {a: 1, a: 2, 9x: 1}
stages:
  M one: {kind: motion, params: {system: free}}
  two: {kind: motion, params: {system: free}}
  two: {kind: motion, params: {system: free}}
"#;
    let expected = r#"
error: `My pipeline` cannot be the name of a pipeline
 --> pipelines/test.yaml:1:7
  |
1 | name: My pipeline
  |       ^^^^^^^^^^^
  = help: use at most 100 small letters, digits, `_` and `-`, for example `my-pipeline`

error: `a` is given twice
 --> pipelines/test.yaml:2:16
  |
2 | params: {a: 1, a: 2, 9x: 1}
  |                ^
  = help: remove one of the two, or rename it

error: `9x` cannot be the name of a parameter
 --> pipelines/test.yaml:2:22
  |
2 | params: {a: 1, a: 2, 9x: 1}
  |                      ^^
  = help: use letters, digits, `_` and `-`, starting with a letter

error: `M one` cannot be the name of a stage
 --> pipelines/test.yaml:4:3
  |
4 |   M one: {kind: motion, params: {system: free}}
  |   ^^^^^
  = help: use at most 100 small letters, digits, `_` and `-`, for example `m-one`

error: `two` is given twice
 --> pipelines/test.yaml:6:3
  |
6 |   two: {kind: motion, params: {system: free}}
  |   ^^^
  = help: remove one of the two, or rename it

5 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn nothing_there() {
    let source = r#"
params: {a: 1}
"#;
    let expected = r#"
error: the pipeline has no name
  = help: add `name: my-pipeline`

error: the pipeline has no stages
  = help: add `stages:` with at least one stage

2 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn kinds() {
    let source = r#"
name: x
stages:
  a: {kind: motoin}
  b: {kind: something}
  c: {params: {x: 1}}
"#;
    let expected = r#"
error: there is no kind `motoin`
 --> pipelines/test.yaml:3:13
  |
3 |   a: {kind: motoin}
  |             ^^^^^^
  = help: did you mean `motion`?

error: there is no kind `something`
 --> pipelines/test.yaml:4:13
  |
4 |   b: {kind: something}
  |             ^^^^^^^^^
  = help: there are `motion`, `fit` and `command`

error: stage `c` has no kind
 --> pipelines/test.yaml:5:3
  |
5 |   c: {params: {x: 1}}
  |   ^
  = help: add `kind: …`; `onsager kinds` lists them

3 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn resources() {
    let source = r#"
name: x
stages:
  m: {kind: motion, params: {system: free}, resources: {threads: 0, memory: 12, time: soon}}
"#;
    let expected = r#"
error: `threads` cannot be the number 0
 --> pipelines/test.yaml:3:66
  |
3 |   m: {kind: motion, params: {system: free}, resources: {threads: 0, memory: 12, time: soon}}
  |                                                                  ^
  = help: write a whole number of at least 1

error: `memory` cannot be the number 12
 --> pipelines/test.yaml:3:77
  |
3 |   m: {kind: motion, params: {system: free}, resources: {threads: 0, memory: 12, time: soon}}
  |                                                                             ^^
  = help: write a number with a unit, like `512MiB`, `1.5GiB` or `2GB`

error: `time` cannot be the text "soon"
 --> pipelines/test.yaml:3:87
  |
3 |   m: {kind: motion, params: {system: free}, resources: {threads: 0, memory: 12, time: soon}}
  |                                                                                       ^^^^
  = help: write numbers with units, like `90s`, `30m`, `1h30m` or `2d`

3 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn syntax() {
    let source = r#"
name: x
stages:
  m: {kind: motion
  n: 3
"#;
    let expected = r#"
error: a `,` or `}` is missing before this
 --> pipelines/test.yaml:4:4
  |
4 |   n: 3
  |    ^
  = help: close the mapping, or put the text in quotes

1 error in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn tabs() {
    let source = r#"
name: x
stages:
	m: 1
"#;
    let expected = r#"
error: a tab cannot indent YAML
 --> pipelines/test.yaml:3:2
  |
3 | 	m: 1
  | 	^
  = help: use blanks

1 error in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn a_list() {
    let source = r#"
- 1
"#;
    let expected = r#"
error: a pipeline is a mapping of `name`, `params` and `stages`, but the file is a list
 --> pipelines/test.yaml:1:1
  |
1 | - 1
  | ^
  = help: start it with `name: my-pipeline`

1 error in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

//! The exact text of every sort of error.

use super::{errors, errors_with};

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
  = help: did you mean `threads`?

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

/// What a kind refuses, all of it at once, at the value.
#[test]
fn parameters() {
    let source = r#"
name: x
stages:
  m:
    kind: motion
    params:
      system: fre
      diffusion: abc
      particles: -1
      seeds: 3
      layers: [{x: 1}, {x: a}]
  n: {kind: motion}
  o: {kind: motion, params: {system: free, layers: [{y: 1}], seed: 1.5, diffusion: .nan}}
"#;
    let expected = r#"
error: `system` cannot be `fre`
 --> pipelines/test.yaml:6:15
  |
6 |       system: fre
  |               ^^^
  = help: did you mean `free`?

error: `diffusion` must be a number, but is the text "abc"
 --> pipelines/test.yaml:7:18
  |
7 |       diffusion: abc
  |                  ^^^

error: `particles` must be a whole number of at least 0, but is the number -1
 --> pipelines/test.yaml:8:18
  |
8 |       particles: -1
  |                  ^^

error: unknown parameter `seeds` of kind `motion`
 --> pipelines/test.yaml:9:7
  |
9 |       seeds: 3
  |       ^^^^^
  = help: did you mean `seed`?

error: `layers[1].x` must be a number, but is the text "a"
  --> pipelines/test.yaml:10:28
   |
10 |       layers: [{x: 1}, {x: a}]
   |                            ^

error: parameter `system` of kind `motion` is missing
  --> pipelines/test.yaml:11:13
   |
11 |   n: {kind: motion}
   |             ^^^^^^
   = help: add `system: …`; `onsager kinds motion` describes it

error: unknown parameter `y` of kind `motion`
  --> pipelines/test.yaml:12:54
   |
12 |   o: {kind: motion, params: {system: free, layers: [{y: 1}], seed: 1.5, diffusion: .nan}}
   |                                                      ^
   = help: there is only `x`

error: `seed` must be a whole number of at least 0, but is the number 1.5
  --> pipelines/test.yaml:12:68
   |
12 |   o: {kind: motion, params: {system: free, layers: [{y: 1}], seed: 1.5, diffusion: .nan}}
   |                                                                    ^^^

error: NaN is not a number that a parameter can have
  --> pipelines/test.yaml:12:84
   |
12 |   o: {kind: motion, params: {system: free, layers: [{y: 1}], seed: 1.5, diffusion: .nan}}
   |                                                                                    ^^^^

9 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn values_out_of_range() {
    let source = r#"
name: x
stages:
  m: {kind: motion, params: {system: free, diffusion: -1}}
  n: {kind: motion, matrix: {d: [0.5, 0, -2]}, params: {system: free, diffusion: "${matrix.d}"}}
"#;
    let expected = r#"
error: `diffusion` must be positive, but is -1
 --> pipelines/test.yaml:3:55
  |
3 |   m: {kind: motion, params: {system: free, diffusion: -1}}
  |                                                       ^^

error: `diffusion` must be positive, but is 0
 --> pipelines/test.yaml:4:82
  |
4 |   n: {kind: motion, matrix: {d: [0.5, 0, -2]}, params: {system: free, diffusion: "${matrix.d}"}}
  |                                                                                  ^^^^^^^^^^^^^
  = help: the value comes from `${matrix.d}` in `n[d=0]`

error: `diffusion` must be positive, but is -2
 --> pipelines/test.yaml:4:82
  |
4 |   n: {kind: motion, matrix: {d: [0.5, 0, -2]}, params: {system: free, diffusion: "${matrix.d}"}}
  |                                                                                  ^^^^^^^^^^^^^
  = help: the value comes from `${matrix.d}` in `n[d=-2]`

3 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn interpolation() {
    let source = r#"
name: x
params: {a: "${params.b}", b: 1, c: {d: 1}}
stages:
  m:
    kind: motion
    params:
      system: ${params.bee}
      diffusion: ${matrix.d}
      seed: ${params.c.dd}
      particles: ${b}
      layers: a ${params.c} and ${inputs.x}, ${x
  n:
    kind: motion
    matrix: {model: [{name: a, size: 1}]}
    params: {system: "${matrix.modell}", seed: "${matrix.model.sise}"}
"#;
    let expected = r#"
error: `${params.b}` is used before it is known
 --> pipelines/test.yaml:2:14
  |
2 | params: {a: "${params.b}", b: 1, c: {d: 1}}
  |              ^^^^^^^^^^^
  = help: declare `b` before this, and correct its own errors

error: `${params.bee}` names no parameter of the pipeline
 --> pipelines/test.yaml:7:15
  |
7 |       system: ${params.bee}
  |               ^^^^^^^^^^^^^
  = help: there are `b` and `c`

error: `${matrix.d}` names no axis of the stage's matrix
 --> pipelines/test.yaml:8:18
  |
8 |       diffusion: ${matrix.d}
  |                  ^^^^^^^^^^^
  = help: give the stage `matrix: {d: [...]}`

error: `${params.c.dd}` names no parameter of the pipeline
 --> pipelines/test.yaml:9:13
  |
9 |       seed: ${params.c.dd}
  |             ^^^^^^^^^^^^^^
  = help: did you mean `d`?

error: `${b}` is not known
  --> pipelines/test.yaml:10:18
   |
10 |       particles: ${b}
   |                  ^^^^
   = help: did you mean `${params.b}`?

error: `${params.c}` is a mapping, which cannot stand inside text
  --> pipelines/test.yaml:11:17
   |
11 |       layers: a ${params.c} and ${inputs.x}, ${x
   |                 ^^^^^^^^^^^
   = help: let it be the whole value, or name one of its fields

error: `${inputs.x}` cannot be used here
  --> pipelines/test.yaml:11:33
   |
11 |       layers: a ${params.c} and ${inputs.x}, ${x
   |                                 ^^^^^^^^^^^
   = help: it can be in the `run` of a `command` stage

error: `${` is not closed
  --> pipelines/test.yaml:11:46
   |
11 |       layers: a ${params.c} and ${inputs.x}, ${x
   |                                              ^^
   = help: write `${params.name}`, or `$${` for a literal `${`

error: `${matrix.modell}` names no axis of the stage's matrix
  --> pipelines/test.yaml:15:23
   |
15 |     params: {system: "${matrix.modell}", seed: "${matrix.model.sise}"}
   |                       ^^^^^^^^^^^^^^^^
   = help: did you mean `model`?

error: `${matrix.model.sise}` names no field of `model` where that is `a`
  --> pipelines/test.yaml:15:49
   |
15 |     params: {system: "${matrix.modell}", seed: "${matrix.model.sise}"}
   |                                                 ^^^^^^^^^^^^^^^^^^^^
   = help: did you mean `size`?

10 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn references() {
    let source = r#"
name: x
stages:
  m: {kind: motion, matrix: {system: [free, harmonic]}, params: {system: "${matrix.system}"}}
  f:
    kind: fit
    inputs:
      tubes:
        - mm.tubes
        - m.tube
        - m[sytem=free]
        - m[system=fre]
        - m[system
        - m.tubes[system=free]
        - scripts/fit.py
        - "${params.x}"
        - 7
"#;
    let expected = r#"
error: there is no stage `mm`
 --> pipelines/test.yaml:8:11
  |
8 |         - mm.tubes
  |           ^^^^^^^^
  = help: did you mean `m`?

error: stage `m` has no output `tube`
 --> pipelines/test.yaml:9:11
  |
9 |         - m.tube
  |           ^^^^^^
  = help: did you mean `tubes`?

error: stage `m` has no axis `sytem`
  --> pipelines/test.yaml:10:11
   |
10 |         - m[sytem=free]
   |           ^^^^^^^^^^^^^
   = help: did you mean `system`?

error: no instance of `m` has system=fre, which `f` asks for
  --> pipelines/test.yaml:11:11
   |
11 |         - m[system=fre]
   |           ^^^^^^^^^^^^^
   = help: did you mean `free`?

error: `m[system` is no reference: `[` is not closed
  --> pipelines/test.yaml:12:11
   |
12 |         - m[system
   |           ^^^^^^^^
   = help: write `stage`, `stage.output`, `stage[axis=value].output` or `stage[matching]`

error: `m.tubes[system=free]` is no reference: `[system=free]` after the brackets is not `.output`
  --> pipelines/test.yaml:13:11
   |
13 |         - m.tubes[system=free]
   |           ^^^^^^^^^^^^^^^^^^^^
   = help: write `stage`, `stage.output`, `stage[axis=value].output` or `stage[matching]`

error: there is no stage `scripts/fit`
  --> pipelines/test.yaml:14:11
   |
14 |         - scripts/fit.py
   |           ^^^^^^^^^^^^^^
   = help: for a file, write `{file: scripts/fit.py}`

error: `${params.x}` names no parameter of the pipeline
  --> pipelines/test.yaml:15:12
   |
15 |         - "${params.x}"
   |            ^^^^^^^^^^^
   = help: declare `x` under `params`, before it is used

error: input `tubes` cannot be the number 7
  --> pipelines/test.yaml:16:11
   |
16 |         - 7
   |           ^
   = help: write `stage`, `stage.output`, `stage[axis=value].output`, or `{file: path}`

9 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

/// Inputs that the kind does not have, that it needs, and that take one artifact.
#[test]
fn inputs() {
    let source = r#"
name: x
stages:
  m: {kind: motion, matrix: {system: [free, harmonic]}, params: {system: "${matrix.system}"}}
  f: {kind: fit, inputs: {tube: m.tubes}}
  g: {kind: fit}
  h: {kind: fit, inputs: {tubes: m, model: m.tubes}}
  l: {kind: fit, matrix: {system: [free]}, inputs: {tubes: m, model: m.tubes}}
  i: {kind: fit, inputs: {tubes: [], model: [f, g]}}
  j: {kind: motion, params: {system: free}, inputs: {x: m.tubes}}
  k: {kind: command, inputs: {x: m}, run: "true", outputs: {a: a}}
"#;
    let expected = r#"
error: stage `f` lacks the input `tubes` of kind `fit`
 --> pipelines/test.yaml:4:18
  |
4 |   f: {kind: fit, inputs: {tube: m.tubes}}
  |                  ^^^^^^
  = help: add `tubes: stage` under `inputs`: the tables

error: kind `fit` has no input `tube`
 --> pipelines/test.yaml:4:27
  |
4 |   f: {kind: fit, inputs: {tube: m.tubes}}
  |                           ^^^^
  = help: did you mean `tubes`?

error: stage `g` lacks the input `tubes` of kind `fit`
 --> pipelines/test.yaml:5:3
  |
5 |   g: {kind: fit}
  |   ^
  = help: add `tubes: stage` under `inputs`: the tables

error: input `model` of kind `fit` takes one artifact, not 2
 --> pipelines/test.yaml:6:44
  |
6 |   h: {kind: fit, inputs: {tubes: m, model: m.tubes}}
  |                                            ^^^^^^^
  = help: choose one, like `m[system=free]`

error: input `model` of kind `fit` takes one artifact, not 2
 --> pipelines/test.yaml:7:70
  |
7 |   l: {kind: fit, matrix: {system: [free]}, inputs: {tubes: m, model: m.tubes}}
  |                                                                      ^^^^^^^
  = help: choose the one that agrees with this stage's matrix: `m[matching]`

error: input `tubes` is empty
 --> pipelines/test.yaml:8:27
  |
8 |   i: {kind: fit, inputs: {tubes: [], model: [f, g]}}
  |                           ^^^^^
  = help: give it a stage, or remove it

error: input `model` of kind `fit` takes one artifact, not 2
 --> pipelines/test.yaml:8:38
  |
8 |   i: {kind: fit, inputs: {tubes: [], model: [f, g]}}
  |                                      ^^^^^
  = help: give it a single reference

error: kind `motion` has no input `x`
 --> pipelines/test.yaml:9:54
  |
9 |   j: {kind: motion, params: {system: free}, inputs: {x: m.tubes}}
  |                                                      ^
  = help: remove it: `motion` takes no inputs

error: stage `m` has several outputs, and none is called `x`
  --> pipelines/test.yaml:10:34
   |
10 |   k: {kind: command, inputs: {x: m}, run: "true", outputs: {a: a}}
   |                                  ^
   = help: its outputs are `tubes` and `paths`; write `m.tubes`

9 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn files() {
    let source = r#"
name: x
stages:
  f: {kind: fit, inputs: {tubes: [{file: data/nothing.csv}, {file: ~/x}, {file: /nothing/here}, {file: }]}}
"#;
    let expected = r#"
error: there is no file or folder ROOT/data/nothing.csv
 --> pipelines/test.yaml:3:42
  |
3 |   f: {kind: fit, inputs: {tubes: [{file: data/nothing.csv}, {file: ~/x}, {file: /nothing/here}, {fil…
  |                                          ^^^^^^^^^^^^^^^^
  = help: create it, or correct the path, which starts at ROOT

error: `~` is not expanded in `~/x`
 --> pipelines/test.yaml:3:68
  |
3 | …inputs: {tubes: [{file: data/nothing.csv}, {file: ~/x}, {file: /nothing/here}, {file: }]}}
  |                                                    ^^^
  = help: write the absolute path, or one relative to the project

error: there is no file or folder /nothing/here
 --> pipelines/test.yaml:3:81
  |
3 | …s: [{file: data/nothing.csv}, {file: ~/x}, {file: /nothing/here}, {file: }]}}
  |                                                    ^^^^^^^^^^^^^
  = help: create it, or correct the path, which starts at ROOT

error: `file` must be text, but is empty
 --> pipelines/test.yaml:3:98
  |
3 | …othing.csv}, {file: ~/x}, {file: /nothing/here}, {file: }]}}
  |                                                    ^^^^

4 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn cycles() {
    let source = r#"
name: x
stages:
  a: {kind: fit, inputs: {tubes: c}}
  b: {kind: fit, inputs: {tubes: a}}
  c: {kind: fit, inputs: {tubes: [b, b]}}
  after: {kind: fit, inputs: {tubes: a}}
  d: {kind: fit, inputs: {tubes: d}}
"#;
    let expected = r#"
error: cycle: `a` needs `c`, `c` needs `b`, `b` needs `a`
 --> pipelines/test.yaml:3:34
  |
3 |   a: {kind: fit, inputs: {tubes: c}}
  |                                  ^
  = help: remove one of these inputs

error: cycle: `d` needs `d`
 --> pipelines/test.yaml:7:34
  |
7 |   d: {kind: fit, inputs: {tubes: d}}
  |                                  ^
  = help: remove one of these inputs

2 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn matrices() {
    let source = r#"
name: x
stages:
  a:
    kind: motion
    params: {system: free}
    matrix:
      empty: []
      twice: [1, 1.0]
      scalar: 3
      odd: [a/b, ~, [1], {x: 1}]
      zip: {p: [1, 2], q: [1]}
  b:
    kind: motion
    params: {system: free}
    matrix:
      s: [1, 2]
      exclude: [{s: 3}, {size: 1}, 4]
      include: [{s: 2}, {t: 3}]
  c: {kind: motion, params: {system: free}, matrix: {s: [1], exclude: [{s: 1}]}}
"#;
    let expected = r#"
error: axis `empty` is empty
 --> pipelines/test.yaml:7:7
  |
7 |       empty: []
  |       ^^^^^
  = help: give it a value, or remove it

error: axis `twice` has the value `1` twice
 --> pipelines/test.yaml:8:18
  |
8 |       twice: [1, 1.0]
  |                  ^^^

error: axis `scalar` must be a list, but is the number 3
 --> pipelines/test.yaml:9:15
  |
9 |       scalar: 3
  |               ^
  = help: write `scalar: [...]`

error: `a/b` cannot be a label of axis `odd`: labels are parts of file names
  --> pipelines/test.yaml:10:13
   |
10 |       odd: [a/b, ~, [1], {x: 1}]
   |             ^^^
   = help: give it a name: `{name: short, value: …}`, and use `${matrix.odd.value}`

error: a value of axis `odd` is empty
  --> pipelines/test.yaml:10:18
   |
10 |       odd: [a/b, ~, [1], {x: 1}]
   |                  ^
   = help: use numbers, text, or mappings with a `name`

error: a value of axis `odd` is a list
  --> pipelines/test.yaml:10:21
   |
10 |       odd: [a/b, ~, [1], {x: 1}]
   |                     ^
   = help: use numbers, text, or mappings with a `name`

error: a value of axis `odd` that is a mapping must have a name
  --> pipelines/test.yaml:10:26
   |
10 |       odd: [a/b, ~, [1], {x: 1}]
   |                          ^
   = help: write `{name: …, …}`

error: axes that are zipped must have the same length: `p` has 2 values and `q` has 1
  --> pipelines/test.yaml:11:24
   |
11 |       zip: {p: [1, 2], q: [1]}
   |                        ^

error: `exclude` matches no instance
  --> pipelines/test.yaml:17:17
   |
17 |       exclude: [{s: 3}, {size: 1}, 4]
   |                 ^
   = help: correct the coordinates, or remove the point

error: the matrix has no axis `size`
  --> pipelines/test.yaml:17:26
   |
17 |       exclude: [{s: 3}, {size: 1}, 4]
   |                          ^^^^
   = help: there is only `s`

error: a point of `exclude` must be a mapping of axes, but is the number 4
  --> pipelines/test.yaml:17:36
   |
17 |       exclude: [{s: 3}, {size: 1}, 4]
   |                                    ^
   = help: write `exclude: [{axis: value}]`

error: the included point `[s=2]` is in the matrix already
  --> pipelines/test.yaml:18:17
   |
18 |       include: [{s: 2}, {t: 3}]
   |                 ^

error: the included point has no `s`
  --> pipelines/test.yaml:18:25
   |
18 |       include: [{s: 2}, {t: 3}]
   |                         ^
   = help: give it a value for `s`

error: the matrix has no axis `t`
  --> pipelines/test.yaml:18:26
   |
18 |       include: [{s: 2}, {t: 3}]
   |                          ^
   = help: there is only `s`

error: the matrix has no instance
  --> pipelines/test.yaml:19:53
   |
19 |   c: {kind: motion, params: {system: free}, matrix: {s: [1], exclude: [{s: 1}]}}
   |                                                     ^
   = help: give it an axis, or leave it out

15 errors in pipelines/test.yaml
"#;
    assert_eq!(errors(source.trim_start()), expected.trim());
}

#[test]
fn commands() {
    let source = r#"
name: x
stages:
  a: {kind: command}
  b:
    kind: command
    inputs: {script: {file: Cargo.toml}}
    run: python ${inputs.scrip} ${outputs.plt} ${HOME} $HOME $${HOME}
    outputs: {plot: ../x.png, other: /etc/passwd, a: x/y, b: ./x, c: 3}
    env: {A: 1, B: [1]}
    params: {x: 1}
  c: {kind: motion, params: {system: free}, run: x}
"#;
    let expected = r#"
error: command stage `a` has no `run`
 --> pipelines/test.yaml:3:3
  |
3 |   a: {kind: command}
  |   ^
  = help: add `run: program ${inputs.x} > ${outputs.y}`

error: command stage `a` has no `outputs`
 --> pipelines/test.yaml:3:3
  |
3 |   a: {kind: command}
  |   ^
  = help: add `outputs: {result: result.csv}`, the files that it writes

error: `${inputs.scrip}` names no input of the stage
 --> pipelines/test.yaml:7:17
  |
7 |     run: python ${inputs.scrip} ${outputs.plt} ${HOME} $HOME $${HOME}
  |                 ^^^^^^^^^^^^^^^
  = help: did you mean `script`?

error: `${outputs.plt}` names no output of the stage
 --> pipelines/test.yaml:7:33
  |
7 |     run: python ${inputs.scrip} ${outputs.plt} ${HOME} $HOME $${HOME}
  |                                 ^^^^^^^^^^^^^^
  = help: did you mean `plot`?

error: `${HOME}` is not known
 --> pipelines/test.yaml:7:48
  |
7 |     run: python ${inputs.scrip} ${outputs.plt} ${HOME} $HOME $${HOME}
  |                                                ^^^^^^^
  = help: write `${params.…}` or `${matrix.…}`, or `$${HOME}` for a literal `${HOME}`

error: output `plot` cannot be written to `../x.png`
 --> pipelines/test.yaml:8:21
  |
8 |     outputs: {plot: ../x.png, other: /etc/passwd, a: x/y, b: ./x, c: 3}
  |                     ^^^^^^^^
  = help: give a path inside the stage's folder, without `..`: `plot.png`

error: output `other` cannot be written to `/etc/passwd`
 --> pipelines/test.yaml:8:38
  |
8 |     outputs: {plot: ../x.png, other: /etc/passwd, a: x/y, b: ./x, c: 3}
  |                                      ^^^^^^^^^^^
  = help: give a path inside the stage's folder, without `..`: `plot.png`

error: outputs `a` and `b` are written to the same place
 --> pipelines/test.yaml:8:62
  |
8 |     outputs: {plot: ../x.png, other: /etc/passwd, a: x/y, b: ./x, c: 3}
  |                                                              ^^^
  = help: give each a file of its own

error: `outputs.c` must be text, but is the number 3
 --> pipelines/test.yaml:8:70
  |
8 |     outputs: {plot: ../x.png, other: /etc/passwd, a: x/y, b: ./x, c: 3}
  |                                                                      ^

error: `env.B` must be text, but is a list
 --> pipelines/test.yaml:9:20
  |
9 |     env: {A: 1, B: [1]}
  |                    ^

error: a `command` stage takes no `params`
  --> pipelines/test.yaml:10:5
   |
10 |     params: {x: 1}
   |     ^^^^^^
   = help: write `run`, `outputs` and `env` as fields of the stage

error: `run` is a field of `command` stages, but the kind is `motion`
  --> pipelines/test.yaml:11:45
   |
11 |   c: {kind: motion, params: {system: free}, run: x}
   |                                             ^^^
   = help: remove it; `onsager kinds motion` lists the parameters

12 errors in pipelines/test.yaml
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
error: the YAML cannot be read: while parsing a flow mapping, did not find expected ',' or '}'
 --> pipelines/test.yaml:4:4
  |
4 |   n: 3
  |    ^

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
error: the YAML cannot be read: tabs disallowed within this context (block indentation)
 --> pipelines/test.yaml:3:2
  |
3 | 	m: 1
  | 	^

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

#[test]
fn values_from_the_command_line() {
    let source = r#"
name: x
params: {particles: 3}
stages: {m: {kind: motion, params: {system: free, particles: "${params.particles}"}}}
"#;
    let sets = [
        "particle=4",
        "particles=abc",
        "stages.m.params.seed=x",
        "stages.m.params.sed=1",
        "stages.n.params.x=3",
        "stages.m.kid=4",
        "particles=[",
    ];
    let expected = r#"
error: `particles` must be a whole number of at least 0, but is the text "abc"
 --> pipelines/test.yaml:3:62
  |
3 | stages: {m: {kind: motion, params: {system: free, particles: "${params.particles}"}}}
  |                                                              ^^^^^^^^^^^^^^^^^^^^^
  = help: the value comes from `${params.particles}` in `m`

error: there is no `particle` to set
 --> --set particle=4
  |
  | --set particle=4
  |       ^^^^^^^^
  = help: did you mean `particles`?

error: `seed` must be a whole number of at least 0, but is the text "x"
 --> --set stages.m.params.seed=x
  |
  | --set stages.m.params.seed=x
  |                            ^

error: unknown parameter `sed` of kind `motion`
 --> --set stages.m.params.sed=1
  |
  | --set stages.m.params.sed=1
  |       ^^^^^^^^^^^^^^^^^^^
  = help: did you mean `seed`?

error: there is no `n` to set
 --> --set stages.n.params.x=3
  |
  | --set stages.n.params.x=3
  |       ^^^^^^^^^^^^^^^^^
  = help: there is only `m`

error: there is no `kid` to set
 --> --set stages.m.kid=4
  |
  | --set stages.m.kid=4
  |       ^^^^^^^^^^^^
  = help: did you mean `kind`?

error: the YAML cannot be read: unclosed bracket '['
 --> --set particles=[
  |
  | --set particles=[
  |                 ^

7 errors in pipelines/test.yaml
"#;
    assert_eq!(errors_with(source.trim_start(), &sets), expected.trim());
}

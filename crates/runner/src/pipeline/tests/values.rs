//! The exact text of errors in parameters, matrices and `${…}`.

use super::{errors, errors_with};

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

error: a parameter cannot be the number `.nan`
  --> pipelines/test.yaml:12:84
   |
12 |   o: {kind: motion, params: {system: free, layers: [{y: 1}], seed: 1.5, diffusion: .nan}}
   |                                                                                    ^^^^
   = help: put it in quotes to keep it as text

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
  = help: declare `b` before this

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

error: this bracket is not closed
 --> --set particles=[
  |
  | --set particles=[
  |                 ^
  = help: add the second one, or put the text in quotes

7 errors in pipelines/test.yaml, the arguments
"#;
    assert_eq!(errors_with(source.trim_start(), &sets), expected.trim());
}

//! The exact text of errors in references, files and commands.

use crate::pipeline::tests::errors;

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
   = help: write `stage`, `stage.output`, `stage[axis=value].output`, `stage[matching]` or `stage.folder/file`

error: `m.tubes[system=free]` is no reference: `[system=free]` after the brackets is not `.output`
  --> pipelines/test.yaml:13:11
   |
13 |         - m.tubes[system=free]
   |           ^^^^^^^^^^^^^^^^^^^^
   = help: write `stage`, `stage.output`, `stage[axis=value].output`, `stage[matching]` or `stage.folder/file`

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
  = help: write `${params.…}`, `${matrix.…}` or `${env.…}`, or `$${HOME}` for a literal `${HOME}`

error: output `plot` cannot be written to `../x.png`
 --> pipelines/test.yaml:8:21
  |
8 |     outputs: {plot: ../x.png, other: /etc/passwd, a: x/y, b: ./x, c: 3}
  |                     ^^^^^^^^
  = help: give a path inside the stage's folder, without `..` and with names of at most 200 bytes: `plot.png`

error: output `other` cannot be written to `/etc/passwd`
 --> pipelines/test.yaml:8:38
  |
8 |     outputs: {plot: ../x.png, other: /etc/passwd, a: x/y, b: ./x, c: 3}
  |                                      ^^^^^^^^^^^
  = help: give a path inside the stage's folder, without `..` and with names of at most 200 bytes: `plot.png`

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
  = help: write `c: file.txt`, or `c: {file: file.txt, optional: true}`

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
   = help: write `run`, `shell`, `outputs`, `env`, `environment` and `checkpoint` as fields of the stage

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

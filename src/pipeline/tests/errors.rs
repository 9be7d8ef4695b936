use super::{errors, errors_with};

#[test]
fn show() {
    let cases: &[&str] = &[
        "nmae: x\nname: 3\nparams: {a: 1, a: 2, 9x: 1}\nstages:\n  m: {kind: motoin, parms: {}, resources: {thread: 2, threads: 0, memory: 12, time: soon}}\n",
        "name: x\nstages:\n  M one: {kind: motion, params: {system: free}}\n  empty:\n  list: [1]\n  nokind: {params: 3}\n",
        "name: x\nstages:\n  m:\n    kind: motion\n    params:\n      system: fre\n      diffusion: abc\n      particles: -1\n      seeds: 3\n      layers: [{x: 1}, {x: a, y: 2}]\n",
        "name: x\nstages:\n  m:\n    kind: motion\n  n:\n    kind: motion\n    matrix: {d: [0.5, -1, -2]}\n    params: {system: free, diffusion: \"${matrix.d}\", seed: 1.5}\n",
        "name: x\nparams: {a: '${params.b}', b: 1, c: {d: 1}}\nstages:\n  m:\n    kind: motion\n    params: {system: '${params.bb}', diffusion: '${matrix.d}', seed: '${params.c.x}', particles: '${b}', layers: 'a ${params.c} b ${x'}\n",
        "name: x\nstages:\n  m:\n    kind: motion\n    matrix: {system: [free, harmonic], seed: [1, 2]}\n    params: {system: '${matrix.system}', seed: '${matrix.seed}'}\n  f:\n    kind: fit\n    inputs:\n      tube: m\n      model: m.tubes\n  g:\n    kind: fit\n    inputs: {tubes: [m, mm, m.tube, 'm[sytem=free]', 'm[system=fre].tubes', 'm[system', 'm.tubes[x=1]', {file: nothing.csv}, {fil: x}, {file: ~/x}, scripts/fit.py, 7, '']}\n",
        "name: x\nstages:\n  a:\n    kind: fit\n    inputs: {tubes: c}\n  b: {kind: fit, inputs: {tubes: a}}\n  c: {kind: fit, inputs: {tubes: [b, b]}}\n  d: {kind: fit, inputs: {tubes: d}}\n",
        "name: x\nstages:\n  a:\n    kind: motion\n    matrix:\n      empty: []\n      twice: [1, 1.0]\n      scalar: 3\n      odd: [a/b, ~, [1], {x: 1}]\n      zip: {p: [1, 2], q: [1]}\n      9: [1]\n  b:\n    kind: motion\n    matrix:\n      s: [1, 2]\n      exclude: [{s: 3}, {t: 1}, 4]\n      include: [{s: 2}, {t: 3}]\n  c: {kind: motion, matrix: {s: [1], exclude: [{s: 1}]}}\n  d: {kind: motion, matrix: 4}\n",
        "name: x\nstages:\n  a: {kind: command}\n  b:\n    kind: command\n    inputs: {script: {file: Cargo.toml}}\n    run: 'python ${inputs.scrip} ${outputs.plt} ${HOME} $HOME $${HOME}'\n    outputs: {plot: ../x.png, other: /etc/passwd, a: x, b: x, c: 3, d: ''}\n    env: {A: 1, B: [1]}\n    params: {x: 1}\n  c: {kind: motion, params: {system: free}, run: x}\n",
        "name: x\nstages: [\n",
        "name: x\n  stages: {}\n",
        "- 1\n- 2\n",
        "",
        "name: x\nstages: {a: {kind: motion, params: {system: free, diffusion: .inf}}}\n",
        "name: x\nstages:\n\tm: 1\n",
        "name: x\nstages: {a: *b}\n",
    ];
    for case in cases {
        println!("------------------\n{case}\n------------------\n{}\n", errors(case));
    }
    println!("{}", errors_with("name: x\nparams: {particles: 3}\nstages: {m: {kind: motion, params: {system: free, particles: '${params.particles}'}}}\n",
     &["particle=4", "particles=abc", "stages.m.params.seed=x", "stages.m.params.nothing=x", "stages.n.params.x=3", "params.q=[", "stages.m.kid=4", "stages.m.resources.threads=0"]));
}

//! A program of one's own, `examples/own_stage.rs`: its kind, its pipeline, its run.

use std::path::Path;
use std::process::Command;

#[test]
fn a_program_runs_its_own_kind() {
    // Cargo builds examples beside the program when it builds the tests.
    let folder = Path::new(env!("CARGO_BIN_EXE_onsager")).parent().expect("a folder");
    let project = tempfile::tempdir().expect("a temporary folder");
    let run = || {
        let output = Command::new(folder.join("examples/own_stage"))
            .current_dir(project.path())
            .env_remove("ONSAGER_LOG")
            .output()
            .expect("the example starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let first = run();
    let lines: Vec<&str> = first.lines().collect();
    assert_eq!(lines.len(), 3 + 1 + 6, "{first}");
    let mut thrown = lines[..2].to_vec();
    thrown.sort_unstable();
    assert_eq!(thrown, ["executed throw[seed=1]", "executed throw[seed=2]"]);
    assert_eq!(lines[2..4], ["executed count", "0 of 3 tasks cached"]);
    let mut sum = 0.0;
    for (face, line) in (1..).zip(&lines[4..]) {
        let count: f64 =
            line.strip_prefix(&format!("{face} ")).and_then(|n| n.parse().ok()).expect("a count");
        // Five standard deviations of a binomial count: 12,000 throws, p = 1/6.
        assert!((count - 2000.0).abs() < 5.0 * (12000.0 * 5.0 / 36.0_f64).sqrt(), "{first}");
        sum += count;
    }
    assert_eq!(sum, 12000.0);
    let second = run();
    assert_eq!(second.lines().next(), Some("3 of 3 tasks cached"));
    assert_eq!(second.lines().skip(1).collect::<Vec<_>>(), lines[4..]);
}

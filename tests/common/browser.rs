//! Pages, looked at in headless Chromium by the scripts in `tests/browser/`.

use super::repository;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// What is found on these pages; none where Chromium, node or their packages are missing, which it prints.
pub fn look(urls: &[String]) -> Option<Vec<Value>> {
    Some(serde_json::from_value(script("look.cjs", urls)?).expect("a JSON list"))
}

/// What a script finds.
pub fn script(name: &str, arguments: &[String]) -> Option<Value> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache"))).unwrap_or_default();
    let packages = cache.join("onsager-checks/browser/node_modules");
    let there = |program: &str| {
        let asked = Command::new(program).arg("--version").output();
        asked.is_ok_and(|asked| asked.status.success())
    };
    let chromium = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| there(name));
    let Some(chromium) = chromium.filter(|_| there("node") && packages.join("axe-core").is_dir()) else {
        println!(
            "skipped: no chromium, no node, or no puppeteer-core and axe-core; `.ci/setup` installs them"
        );
        return None;
    };
    let chromium =
        Command::new("sh").args(["-c", &format!("command -v {chromium}")]).output().expect("a shell");
    let done = Command::new("node")
        .arg(repository().join("tests/browser").join(name))
        .arg(String::from_utf8_lossy(&chromium.stdout).trim())
        .args(arguments)
        .env("NODE_PATH", &packages)
        .output()
        .expect("node starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(serde_json::from_slice(&done.stdout).expect("JSON"))
}

/// Nothing must be wrong with a page.
pub fn assert_sound(found: &Value) {
    for what in ["errors", "elsewhere", "violations", "missed"] {
        assert_eq!(found[what], Value::Array(Vec::new()), "{what} of {}", found["url"]);
    }
    assert_eq!(found["injected"], false, "a script of a stranger ran");
    assert!(found["focusable"].as_u64().is_some_and(|count| count > 0));
    assert!(found["overflow"].as_i64().is_some_and(|pixels| pixels <= 0), "wider than its window: {found:#}");
}

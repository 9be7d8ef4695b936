//! `onsager serve`: who may ask, what is shown, and that nothing of a stranger is obeyed.

mod common;

use common::pages::Server;
use common::{Project, browser};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;

const RUN: &str = "2026-11-29T10-00-00-000aaaaa";

/// A project with a record that was written by hand.
fn recorded(lines: &[Value]) -> Project {
    let project = Project::new("name: p\nstages: {}\n");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    project.write(&format!("artifacts/.onsager/runs/{RUN}.jsonl"), &text);
    project
}

fn started(pipeline: &str, tasks: usize) -> Value {
    json!({"at": "2026-11-29T10:00:00Z", "event": "run-started", "run": RUN, "pipeline": pipeline, "file": "pipeline.yaml",
           "version": "0.1.0", "kernel": "avx2", "tasks": tasks, "jobs": 1, "threads": 1, "host": "here"})
}

fn begins(task: &str) -> Value {
    json!({"at": "2026-11-29T10:00:01Z", "event": "task-started", "task": task, "key": "00".repeat(32), "threads": 1, "log": "log"})
}

fn progress(task: &str, done: u64) -> Value {
    json!({"at": "2026-11-29T10:00:02Z", "event": "task-progress", "task": task, "done": done, "total": 100, "unit": "steps"})
}

fn append(project: &Project, line: &Value) {
    let path = project.path(&format!("artifacts/.onsager/runs/{RUN}.jsonl"));
    let mut file = fs::File::options().append(true).open(path).expect("the record");
    file.write_all(format!("{line}\n").as_bytes()).expect("a line");
}

#[test]
fn only_who_has_the_token_may_ask() {
    let project = recorded(&[started("secret-pipeline", 1)]);
    let server = Server::of(&project);
    for path in ["/", "/run?run=x", "/assets/page.css", "/run/live?run=x", "/object?digest=00", "/nothing"] {
        let answer = server.ask(path, &[]);
        assert_eq!(answer.status, 401, "{path}");
        assert!(!answer.body.contains("secret"), "{path}");
    }
    let wrong = "0".repeat(server.token.len());
    for given in ["", "x", &wrong, &server.token[1..]] {
        assert_eq!(server.ask(&format!("/?token={given}"), &[]).status, 401, "{given}");
        assert_eq!(server.ask("/", &[&format!("Authorization: Bearer {given}")]).status, 401, "{given}");
        assert_eq!(
            server.ask("/", &[&format!("Cookie: onsager-{}={given}", server.port)]).status,
            401,
            "{given}"
        );
    }
    let entered = server.ask(&format!("/?pipeline=a%26b&token={}", server.token), &[]);
    assert_eq!(entered.status, 303);
    assert_eq!(entered.headers["location"], "/?pipeline=a%26b");
    let cookie = &entered.headers["set-cookie"];
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = format!("Cookie: other=1; {}", cookie.split(';').next().unwrap());
    let shown = server.ask("/", &[&cookie]);
    assert_eq!(shown.status, 200);
    assert!(shown.body.contains("secret-pipeline") && !shown.body.contains(&server.token));
    // No other server is led to.
    let elsewhere = server.ask(&format!("//evil.example/?token={}", server.token), &[]);
    assert_eq!(elsewhere.headers.get("location").map(String::as_str), Some("/evil.example/"));
}

#[test]
fn it_is_called_by_no_other_name() {
    let project = recorded(&[started("p", 1)]);
    let server = Server::of(&project);
    let token = format!("Authorization: Bearer {}", server.token);
    let with = |head: &str| server.raw(&format!("{head}\r\nConnection: close\r\n{token}\r\n\r\n")).status;
    let port = &server.port;
    assert_eq!(with(&format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}")), 200);
    assert_eq!(with(&format!("GET / HTTP/1.1\r\nHost: LOCALHOST:{port}")), 200);
    // Through a tunnel it has another port.
    assert_eq!(with("GET / HTTP/1.1\r\nHost: localhost:9000"), 200);
    for host in [
        format!("evil.example:{port}"),
        "evil.example".into(),
        format!("127.0.0.1.evil.example:{port}"),
        "localhost.evil.example".into(),
        "127.0.0.1@evil.example".into(),
        "127.0.0.1:80:80".into(),
        String::new(),
    ] {
        let status = with(&format!("GET / HTTP/1.1\r\nHost: {host}"));
        assert!(status == 403 || status == 400, "{host}: {status}");
    }
    let several = with(&format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example"));
    assert!(several == 403 || several == 400, "{several}");
    let none = with("GET / HTTP/1.1");
    assert!(none == 403 || none == 400, "{none}");
    let absolute = with(&format!("GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1:{port}"));
    assert!(absolute == 403 || absolute == 400, "{absolute}");
}

#[test]
fn nothing_can_be_changed_and_no_other_site_shows_anything() {
    let project = recorded(&[started("p", 1)]);
    let server = Server::of(&project);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"] {
        let token = &server.token;
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        assert_eq!(server.raw(&request).status, 405, "{method}");
    }
    let token = format!("Authorization: Bearer {}", server.token);
    for site in ["cross-site", "same-site"] {
        let site = format!("Sec-Fetch-Site: {site}");
        let embedded = ["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"];
        assert_eq!(server.ask("/", &[&token, &site, embedded[0], embedded[1]]).status, 403);
        let framed = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"];
        assert_eq!(server.ask("/", &[&token, &site, framed[0], framed[1]]).status, 403);
    }
    let headers = server.get("/").headers;
    let policy = &headers["content-security-policy"];
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "connect-src 'self'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(!headers.contains_key("access-control-allow-origin"));
}

#[test]
fn nothing_outside_the_store_is_served() {
    let project = recorded(&[started("p", 1), begins("a")]);
    project.write("secret.txt", "TOP SECRET");
    project.write("artifacts/.onsager/secret.jsonl", "TOP SECRET");
    project.write("artifacts/secret.jsonl", &format!("{}\n", started("TOP SECRET", 1)));
    let server = Server::of(&project);
    for path in [
        "/../secret.txt",
        "/assets/../secret.txt",
        "/assets/..%2fsecret.txt",
        "/run?run=../secret",
        "/run?run=..%2F..%2Fsecret",
        "/run?run=%2Fetc%2Fpasswd",
        "/run?run=",
        "/run?run=.",
        "/run/live?run=../secret",
        "/log?run=../..&task=secret",
        "/log?run=..&task=..",
        "/log/live?run=..%2F..&task=a",
        "/task?run=../secret&task=a",
        "/curves?run=../secret",
        "/curves/live?run=../secret&task=a",
        "/compare?old=../secret&new=../secret",
        "/experiment?name=../secret",
        "/object?digest=../../../../secret.txt",
        "/object?digest=..%2F..%2F..%2Fsecret.txt",
        "/object?digest=00",
        "/artifact?digest=../../secret.txt",
        "/artifact?digest=%00",
    ] {
        let answer = server.get(path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {} {}", answer.status, answer.body);
        assert!(!answer.body.contains("TOP SECRET"), "{path}");
    }
    // A task may be called anything: its log has a name that is made of it.
    let log = server.get(&format!("/log?run={RUN}&task=..%2F..%2F..%2Fsecret.txt"));
    assert_eq!(log.status, 200);
    assert!(!log.body.contains("TOP SECRET") && log.body.contains("There is no log."));
}

const EVIL: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\u{1b}[2J\u{202e}";

/// What a page shows, less its tags. Within them every `>` is written as `&gt;`.
fn visible(page: &str) -> String {
    page.split('<').filter_map(|part| Some(part.split_once('>')?.1)).collect()
}

#[test]
fn names_logs_and_messages_of_strangers_are_text() {
    let failed = json!({"at": "2026-11-29T10:00:03Z", "event": "task-failed", "task": EVIL, "message": EVIL, "help": EVIL, "log": null});
    let note = json!({"at": "2026-11-29T10:00:03Z", "event": "note", "text": EVIL});
    let mut first = started(EVIL, 2);
    first["host"] = EVIL.into();
    first["version"] = EVIL.into();
    first["points"] = json!([{"name": EVIL, "params": {EVIL: EVIL}, "metrics": []}]);
    let mut far = progress("b", 1);
    far["unit"] = EVIL.into();
    let project = recorded(&[first, begins(EVIL), failed, begins("b"), far, note]);
    let server = Server::of(&project);
    let encoded: String = EVIL.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let log = project.path(&format!("artifacts/.onsager/runs/{RUN}"));
    fs::create_dir_all(&log).unwrap();
    fs::write(log.join("b.log"), format!("{EVIL}\nlast\n")).unwrap();
    for path in [
        "/".to_owned(),
        format!("/?pipeline={encoded}"),
        format!("/run?run={RUN}"),
        format!("/run?run={RUN}&q={encoded}&state={encoded}&sort={encoded}&page={encoded}"),
        format!("/task?run={RUN}&task={encoded}"),
        format!("/task?run={RUN}&task=b"),
        format!("/log?run={RUN}&task=b"),
        format!("/log?run={RUN}&task={encoded}"),
        format!("/curves?run={RUN}&task={encoded}&name={encoded}"),
        format!("/compare?old={RUN}&new={RUN}"),
        "/experiments".to_owned(),
        format!("/experiment?name={encoded}"),
        format!("/experiment?name={encoded}&where={encoded}"),
        format!("/run?run={encoded}"),
        format!("/{encoded}"),
    ] {
        let answer = server.get(&path);
        assert!(answer.status < 500 || path.contains("experiment?"), "{path}: {}", answer.body);
        let body = &answer.body;
        assert!(!body.contains("<script>") && !body.contains("<img src=x"), "{path}: {body}");
        let text = visible(body);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{path}: {body}");
        assert!(answer.headers["content-security-policy"].contains("script-src 'self'"), "{path}");
        // The page's own scripts come by their address alone.
        assert!(!body.contains(" style=\"") && !body.contains(" onclick="), "{path}");
    }
    let told = server.follow(&format!("/log/live?run={RUN}&task=b&from=0"), None).next().1;
    assert!(told[0].as_str().unwrap().contains("\\u{1b}"), "{told}");
}

#[test]
fn a_log_of_a_gigabyte_costs_nothing() {
    let project = recorded(&[started("p", 1), begins("a")]);
    let folder = project.path(&format!("artifacts/.onsager/runs/{RUN}"));
    fs::create_dir_all(&folder).unwrap();
    let mut file = fs::File::create(folder.join("a.log")).unwrap();
    file.set_len(1 << 30).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
    file.write_all(b"\nthe last but one\nthe last\n").unwrap();
    let server = Server::of(&project);
    for path in [format!("/log?run={RUN}&task=a"), format!("/task?run={RUN}&task=a")] {
        let page = server.page(&path);
        assert!(page.contains("the last but one\nthe last\n"));
        assert!(page.len() < 2 << 20, "{} bytes", page.len());
    }
    let told = server.follow(&format!("/log/live?run={RUN}&task=a&from=0"), None).next().1;
    let lines = told.as_array().unwrap();
    assert!(lines[0].as_str().unwrap().contains("bytes left out"), "{}", lines[0]);
    assert_eq!(lines.last().unwrap(), "the last");
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    assert!(peak.is_none_or(|peak| peak < 300 << 10), "{peak:?} KiB");
}

#[test]
fn a_page_follows_its_run_and_goes_on_where_it_was() {
    let project = recorded(&[started("p", 2), begins("a")]);
    let server = Server::of(&project);
    let path = format!("/run/live?run={RUN}&from=0");
    let mut events = server.follow(&path, None);
    let (first, told) = events.next();
    assert_eq!(told["tasks"][0]["task"], "a");
    assert_eq!((&told["tasks"][0]["state"], &told["total"]), (&json!("running"), &json!(2)));
    append(&project, &progress("a", 25));
    let (second, told) = events.next();
    assert_ne!(first, second);
    assert_eq!((&told["tasks"][0]["done"], &told["tasks"][0]["total"]), (&json!(25), &json!(100)));
    drop(events);
    append(&project, &begins("b"));
    // Only what came after that is told.
    let (_, told) = server.follow(&path, Some(&second)).next();
    let names: Vec<&Value> = told["tasks"].as_array().unwrap().iter().map(|task| &task["task"]).collect();
    assert_eq!(names, ["b"]);
    let (_, told) = server.follow(&path, Some(&first)).next();
    assert_eq!(told["tasks"].as_array().unwrap().len(), 2);
}

#[test]
fn ten_thousand_tasks_are_found_by_what_is_asked_for() {
    let names: Vec<String> = (0..10_000).map(|number| format!("stage[part={number}]")).collect();
    let listed = json!({"at": "2026-11-29T10:00:00Z", "event": "run-tasks", "tasks": names, "cached": &names[..9_000]});
    let project = recorded(&[started("many", 10_000), listed, begins("stage[part=9500]")]);
    let server = Server::of(&project);
    let page = server.page(&format!("/run?run={RUN}"));
    assert!(page.len() < 1 << 20, "{} bytes", page.len());
    assert!(page.contains("1 to 250 of 10000"), "{page}");
    assert!(page.contains("9,000 of 10,000 tasks"), "{page}");
    let rows = |page: &str| page.matches("<tr data-task=").count();
    assert_eq!(rows(&page), 250);
    assert_eq!(rows(&server.page(&format!("/run?run={RUN}&state=running"))), 1);
    assert_eq!(rows(&server.page(&format!("/run?run={RUN}&q=part%3D12"))), 111);
    let last = server.page(&format!("/run?run={RUN}&page=40&sort=task"));
    assert!(last.contains("9751 to 10000 of 10000"));
}

const MADE: &str = r#"
name: made
params: {seed: 1, size: 2}
metrics: {loss: {from: numbers.table, column: loss, aggregate: last}}
stages:
  numbers:
    kind: command
    run: 'printf "step,loss\n1,0.5\n2,0.25\n" > ${outputs.table}; printf "plain ${params.size}\n" > ${outputs.text}'
    outputs: {table: table.csv, text: text.txt}
  others:
    kind: command
    run: |
      printf '<html><script>alert(1)</script>' > ${outputs.page}
      printf '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>' > ${outputs.drawing}
      printf 'a\0b' > ${outputs.bytes}
      printf 'PAR1 and no more' > ${outputs.parquet}
      printf '\120\0\0\0\0\0\0\0{"weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"__metadata__":{}}' > ${outputs.weights}
      mkdir -p ${outputs.folder}/deep; echo inside > ${outputs.folder}/deep/file.txt
    outputs: {page: page.html, drawing: drawing.svg, bytes: bytes.bin, parquet: t.parquet, weights: w.safetensors, folder: folder/}
"#;

/// The digest of an output.
fn digest(document: &Value, task: &str, output: &str) -> String {
    document["outputs"][task][output]["digest"].as_str().expect("a digest").to_owned()
}

#[test]
fn artifacts_are_shown_as_what_they_are() {
    let project = Project::new(MADE);
    let (made, status) = project.run_json(&[]);
    assert_eq!(status, 0, "{made:#}");
    let server = Server::of(&project);
    let artifact = |task: &str, output: &str| {
        server.page(&format!("/artifact?digest={}&name={output}", digest(&made, task, output)))
    };
    let table = artifact("numbers", "table");
    assert!(table.contains("2 rows, 2 columns") && table.contains("0.25"), "{table}");
    assert!(artifact("numbers", "text").contains("plain 2"));
    let weights = artifact("others", "weights");
    assert!(weights.contains("weight") && weights.contains("F32") && weights.contains("2 × 3"), "{weights}");
    assert!(artifact("others", "bytes").contains("61 00 62"));
    assert!(artifact("others", "parquet").contains("cannot be read"));
    let folder =
        server.page(&format!("/artifact?digest={}&name=folder&folder=1", digest(&made, "others", "folder")));
    assert!(folder.contains("deep/file.txt"), "{folder}");
    // What a browser would run is no page of its own, and may do nothing.
    let object = |output: &str, more: &str| {
        server.get(&format!("/object?digest={}{more}", digest(&made, "others", output)))
    };
    let page = object("page", "");
    assert_eq!(page.headers["content-type"], "text/plain; charset=utf-8");
    let drawing = object("drawing", "");
    assert_eq!(drawing.headers["content-type"], "image/svg+xml");
    for answer in [&page, &drawing] {
        assert!(answer.headers["content-security-policy"].starts_with("sandbox; default-src 'none';"));
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    let saved = object("bytes", "&download=../a%22b%0d%0aX-Evil:%201.bin");
    assert_eq!(saved.headers["content-disposition"], "attachment; filename=\"a_b__X-Evil__1.bin\"");
    assert!(!saved.headers.contains_key("x-evil"));
    assert_eq!(saved.body.as_bytes(), b"a\0b");
    let task = server.page(&format!("/task?run={}&task=others", made["run"].as_str().unwrap()));
    assert!(task.contains("<img") && task.contains("executed"), "{task}");
}

#[test]
fn experiments_have_their_metrics_and_runs_stand_side_by_side() {
    let project = Project::new(MADE);
    let (first, _) = project.run_json(&[]);
    let (second, _) = project.run_json(&["--set", "size=3"]);
    let server = Server::of(&project);
    assert!(server.page("/experiments").contains("made"));
    let table = server.page("/experiment?name=made");
    assert!(table.contains(">size<") && table.contains(">loss<") && table.contains("0.25"), "{table}");
    let sorted = server.page("/experiment?name=made&sort=-size");
    let at = |text: &str, what: &str| text.find(what).unwrap_or(usize::MAX);
    assert!(at(&sorted, ">3<") < at(&sorted, ">2<"), "{sorted}");
    let filtered = server.page("/experiment?name=made&where=size%3E2");
    assert!(filtered.contains(">3<") && !filtered.contains(">2<"), "{filtered}");
    assert_eq!(server.get("/experiment?name=made&where=nonsense").status, 400);
    let (old, new) = (first["run"].as_str().unwrap(), second["run"].as_str().unwrap());
    let compared = server.page(&format!("/compare?old={old}&new={new}"));
    assert!(
        compared.contains("1 task</span> the same") || compared.contains("1 task the same"),
        "{compared}"
    );
    assert!(compared.contains("size"), "{compared}");
    let report = server.page(&format!("/report?run={new}"));
    assert!(report.contains("/assets/page.css") && report.contains("numbers"), "{report}");
}

const PICTURES: &str = r#"
name: pictures
params: {colour: red}
metrics: {loss: {from: draw.table, column: loss, aggregate: last}}
stages:
  draw:
    kind: command
    run: |
      printf '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40"><rect width="60" height="40" fill="${params.colour}"/></svg>' > ${outputs.figure}
      printf 'loss\n0.5\n' > ${outputs.table}
      for step in 1 2 3; do printf '{"step": %s, "name": "loss", "value": 0.5}\n' $step >> $ONSAGER_METRICS; done
    outputs: {figure: figure.svg, table: table.csv}
"#;

#[test]
fn a_browser_finds_nothing_wrong_and_sees_what_moves() {
    let project = Project::new(PICTURES);
    let (first, _) = project.run_json(&[]);
    let (second, _) = project.run_json(&["--set", "colour=blue"]);
    let record = format!("artifacts/.onsager/runs/{RUN}.jsonl");
    let lines: Vec<Value> = vec![started(EVIL, 2), begins(EVIL), progress(EVIL, 25)];
    project.write(&record, &lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    // It goes on, as far as anybody can see: this process has its lease.
    let store = onsager::store::Store::open(&project.path("artifacts")).unwrap();
    let _work = store.locks().begin(RUN, "a test").unwrap();
    let server = Server::of(&project);
    let at = |path: &str| format!("http://127.0.0.1:{}{path}", server.port);
    let entry = at(&format!("/?token={}", server.token));
    let (old, new) = (first["run"].as_str().unwrap(), second["run"].as_str().unwrap());
    let pages = [
        format!("/run?run={RUN}"),
        format!("/run?run={new}"),
        format!("/task?run={new}&task=draw"),
        format!("/log?run={new}&task=draw"),
        format!("/curves?run={old}&run={new}"),
        "/curves".to_owned(),
        "/experiments".to_owned(),
        "/experiment?name=pictures".to_owned(),
        format!("/compare?old={old}&new={new}"),
        format!("/artifact?digest={}&name=table", digest(&second, "draw", "table")),
        format!("/artifact?digest={}&name=figure", digest(&second, "draw", "figure")),
    ];
    let urls: Vec<String> = std::iter::once(entry.clone()).chain(pages.iter().map(|page| at(page))).collect();
    let Some(found) = browser::look(&urls) else { return };
    found.iter().for_each(browser::assert_sound);
    let moves = [
        entry,
        at(&pages[0]),
        project.path(&record).display().to_string(),
        progress(EVIL, 50).to_string(),
        at(&pages[4]),
        at(&pages[8]),
    ];
    let found = browser::script("follow.cjs", &moves).expect("as before");
    assert_eq!(found["errors"], json!([]), "{found:#}");
    assert_eq!((&found["address"], &found["cookie"]), (&json!(at("/")), &json!("")));
    assert_eq!(found["before"], 25);
    println!("the bar moved {} s after the line was written", found["moved"]);
    assert_eq!(found["series"], 3, "the step and two curves: {found:#}");
    assert_eq!(found["latest"][0][3], "0.5");
    assert_eq!(found["clip"], json!(["inset(0px 0px 0px 50%)", "inset(0px 0px 0px 0%)"]), "{found:#}");
    assert_eq!(found["differs"], "100 % of the pixels differ", "{found:#}");
}

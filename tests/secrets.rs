//! No secret is in anything that onsager prints or writes: neither keys that sign nor what logs in to a server.

mod common;

use common::pages::Server;
use common::servers::{self, KEY, Place, SECRET, SIGNING, files, proxy, shared_moto};
use common::trust::{other, well};
use common::{Project, ran};
use serde_json::json;
use std::fs;
use walkdir::WalkDir;

/// A part of every secret of the test below.
const HIDDEN: &str = "hunter2";

/// What providers log in with, each wrong in its own way: an error must not repeat it.
const CREDENTIALS: [(&str, &str); 14] = [
    ("AWS_ACCESS_KEY_ID", "AKIAhunter2"),
    ("AWS_SECRET_ACCESS_KEY", "hunter2/secret"),
    ("AWS_SESSION_TOKEN", "hunter2-token"),
    ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
    ("AZURE_STORAGE_ACCOUNT_KEY", "hunter2 is not base64!"),
    ("AZURE_STORAGE_SAS_KEY", "sv=2021&sig=hunter2"),
    ("AZURE_STORAGE_TOKEN", "hunter2-bearer"),
    ("AZURE_CLIENT_ID", "client"),
    ("AZURE_CLIENT_SECRET", "hunter2-client"),
    ("AZURE_TENANT_ID", "tenant"),
    ("GOOGLE_SERVICE_ACCOUNT_KEY", "{\"private_key\": \"hunter2\", \"client_email\": \"a@b\"}"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json"),
    ("ONSAGER_KEY", "onsager-ed25519-secret:hunter2"),
    ("AWS_ENDPOINT_URL", "http://me:hunter2@127.0.0.1:9"),
];

#[test]
fn a_secret_is_in_no_output_record_or_environment() {
    let project = Project::new(
        "\
name: chain
stages:
  a: {kind: command, run: 'env | sort > ${outputs.o}; env', outputs: {o: o.txt}}
  b: {kind: command, tools: {t: 'env | sort | sha256sum; env'}, run: 'echo > ${outputs.o}', outputs: {o: o.txt}}
",
    );
    well(project.onsager(&["key", "new"]));
    let secret = project.read(".config/onsager/keys/default").trim_end().to_owned();
    let bare = secret.rsplit(':').next().expect("a key").to_owned();
    let mut said = String::new();
    let mut run = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.env("ONSAGER_KEY", &secret).env("ONSAGER_LOG", "trace").env("RUST_BACKTRACE", "1");
        let ran = ran(command.output().expect("the program starts"));
        said += &(ran.stdout + &ran.stderr);
        ran.status
    };
    assert_eq!(run(&["run", "pipeline.yaml", "--json"]), 0);
    for arguments in [
        &["store", "export", "chain", "-o", "run.onsager"][..],
        &["key", "show"],
        &["key", "list"],
        &["key", "list", "--json"],
        &["key", "new", "--name", "second"],
        &["explain", "pipeline.yaml", "--json"],
        &["log", "pipeline.yaml", "a"],
        &["store", "verify", "--json"],
        &["shell", "pipeline.yaml", "a", "--", "env"],
    ] {
        run(arguments);
    }
    // A wrong place for it: as a public key, in the project's file, and cut short in the variable.
    assert_eq!(run(&["key", "trust", &secret, "--name", "anna"]), 2);
    assert_eq!(run(&["key", "trust", &secret[..40], "--name", "anna"]), 2);
    project.write("onsager.toml", &format!("[trust.keys.anna]\nkey = \"{secret}\"\n"));
    assert_eq!(run(&["key", "list"]), 2);
    assert_eq!(run(&["key", "list", "--json"]), 2);
    project.write("onsager.toml", &format!("[trust.keys.anna]\nkey: {secret}\n"));
    assert_eq!(run(&["key", "list"]), 2);
    fs::remove_file(project.path("onsager.toml")).expect("removed");
    let mut wrong = project.command(&["key", "show"]);
    let wrong = ran(wrong.env("ONSAGER_KEY", format!("x{secret}")).output().expect("started"));
    assert_eq!(wrong.status, 2);
    said += &(wrong.stdout + &wrong.stderr);
    // The shell's own job; everything else that onsager prints.
    assert!(!said.contains(&bare), "{said}");
    for entry in WalkDir::new(project.path("")) {
        let path = entry.expect("an entry").into_path();
        if path.is_file() && !path.starts_with(project.path(".config")) {
            let bytes = fs::read(&path).expect("read");
            assert!(!String::from_utf8_lossy(&bytes).contains(&bare), "{}", path.display());
        }
    }
}

#[test]
fn no_secret_turns_up_anywhere() {
    let Some(moto) = shared_moto() else { return };
    let place = Place::bucket(moto, moto.port);
    let (one, other) = (other(), other());
    [&one, &other].into_iter().for_each(|project| place.add_to(project));
    let mut said = String::new();
    let mut say = |project: &Project, arguments: &[&str]| {
        let ran = servers::command(project, arguments).env("ONSAGER_LOG", "debug").output().map(ran);
        let ran = ran.expect("the program starts");
        said += &(ran.stdout + &ran.stderr);
    };
    say(&one, &["run", "pipeline.yaml", "--push"]);
    say(&other, &["run", "pipeline.yaml", "--json"]);
    say(&one, &["remote", "check", "lab", "--json"]);
    say(&one, &["push", "pipeline.yaml", "--anew", "--json"]);
    say(&one, &["remote", "list", "--json"]);
    for url in
        ["https://me:hunter2@example.org/x", "https://example.org/x?sig=hunter2", "s3://me:hunter2@bucket"]
    {
        say(&one, &["remote", "add", "bad", url]);
        say(&one, &["remote", "add", "bad", url, "--json"]);
    }
    say(&one, &["remote", "add", "bad", "s3://b", "--endpoint", "https://me:hunter2@example.org"]);
    // A bucket that is not there, one that must not be used, and a server that refuses.
    one.write(
        "onsager.toml",
        &format!(
            "[remote.lab]\nurl = \"s3://no-such-bucket/x\"\nendpoint = \"http://127.0.0.1:{}\"\n",
            moto.port
        ),
    );
    say(&one, &["push", "pipeline.yaml", "--remote", "lab"]);
    let proxy = proxy(moto);
    proxy.faults(json!([{"kind": "status", "status": 403}]));
    one.write(
        "onsager.toml",
        &format!("[remote.lab]\nurl = \"s3://b/x\"\nendpoint = \"http://127.0.0.1:{}\"\n", proxy.port),
    );
    say(&one, &["push", "pipeline.yaml", "--remote", "lab"]);
    one.write("onsager.toml", "[remote.lab]\nurl = \"https://me:hunter2@example.org\"\n");
    say(&one, &["push", "pipeline.yaml", "--remote", "lab"]);
    assert!(said.contains("NoSuchBucket") && said.contains("it refuses access (403 `Faulty`)"), "{said}");
    fs::remove_file(one.path("onsager.toml")).expect("the file with the made-up password");
    let secrets = [KEY, SECRET, SIGNING, "hunter2"];
    for secret in secrets {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    for project in [&one, &other] {
        for file in files(&project.path(".")) {
            let bytes = fs::read(project.path(".").join(&file)).expect("a file");
            for secret in secrets {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret} in {}", file.display());
            }
        }
    }
}

#[test]
fn no_command_tells_what_the_environment_logs_in_with() {
    let project = other();
    let mut said = String::new();
    let credentials = |taken: &[&str]| {
        CREDENTIALS.into_iter().filter(move |(name, _)| !taken.contains(name)).collect::<Vec<_>>()
    };
    let mut say = |credentials: &[(&str, &str)], arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.env("HOME", project.path(".")).env("ONSAGER_LOG", "trace").env("RUST_BACKTRACE", "1");
        let told = ran(command.envs(credentials.iter().copied()).output().expect("the program starts"));
        let all = told.stdout + &told.stderr;
        assert!(!all.contains(HIDDEN), "{arguments:?}: {all}");
        said += &all;
    };
    let places = [
        "url = \"s3://bucket/x\"\nendpoint = \"http://127.0.0.1:9\"\nregion = \"eu-1\"\n",
        "url = \"gs://bucket/x\"\nendpoint = \"http://127.0.0.1:9\"\n",
        "url = \"az://bucket/x\"\nendpoint = \"http://127.0.0.1:9\"\n",
        "url = \"az://bucket/x\"\naccount = \"a\"\nendpoint = \"http://127.0.0.1:9\"\n",
    ];
    for place in places {
        project
            .write("onsager.toml", &format!("[remote.lab]\n{place}default = true\nunsigned = \"accept\"\n"));
        // All of it, and without what stands before the rest.
        let key_of_azure = ["AZURE_STORAGE_ACCOUNT_KEY", "ONSAGER_KEY"];
        let more =
            ["AZURE_STORAGE_ACCOUNT_KEY", "ONSAGER_KEY", "AZURE_STORAGE_TOKEN", "GOOGLE_SERVICE_ACCOUNT_KEY"];
        for taken in [&[][..], &["ONSAGER_KEY"], &key_of_azure, &more] {
            say(&credentials(taken), &["remote", "check", "lab"]);
            say(&credentials(taken), &["run", "pipeline.yaml", "--push"]);
        }
    }
    let all = credentials(&["ONSAGER_KEY"]);
    let commands = [
        &["run", "pipeline.yaml", "--json"][..],
        &["plan", "pipeline.yaml", "--json"],
        &["status", "pipeline.yaml", "--json"],
        &["explain", "pipeline.yaml", "--json"],
        &["list", "--json"],
        &["get", "b.text"],
        &["log", "pipeline.yaml", "a", "--json"],
        &["compare", "pipeline.yaml", "--json"],
        &["diff", "--json"],
        &["metrics", "--json"],
        &["report", "-o", "run.html"],
        &["export", "tensorboard", "-o", "logs"],
        &["export", "mlflow", "last", "--to", "http://127.0.0.1:9"],
        &["export", "crate", "-o", "run.zip"],
        &["paper", "check", "paper.tex"],
        &["paper", "tarball", "paper.tex", "-o", "paper.tar.gz"],
        &["shell", "pipeline.yaml", "a", "--", "true"],
        &["cancel", "--all", "--json"],
        &["completions", "bash"],
        &["init", "new"],
        &["jobs", "--json"],
        &["kinds", "--json"],
        &["man", "pages"],
        &["top"],
        &["key", "list", "--json"],
        &["push", "pipeline.yaml", "--json"],
        &["pull", "pipeline.yaml", "--json"],
        &["pull", "2026-05-01T12-00-00-3fa9c1d2", "--json"],
        &["remote", "list", "--json"],
        &["remote", "check", "--json"],
        &["remote", "du", "--json"],
        &["remote", "gc", "--json"],
        &["remote", "verify", "--json"],
        &["store", "verify", "--json"],
        &["store", "verify", "pipeline.yaml", "--rerun", "a"],
        &["store", "gc", "--json"],
        &["store", "du", "--json"],
        &["store", "doctor", "--json"],
        &["store", "export", "chain", "-o", "run.onsager", "--json"],
        &["store", "import", "run.onsager", "--accept-unsigned", "--json"],
    ];
    commands.iter().for_each(|arguments| say(&all, arguments));
    let mut command = project.command(&["serve"]);
    command.env("HOME", project.path(".")).envs(all.iter().copied());
    let server = Server::start(command);
    for page in ["/", "/experiments", "/compare", "/curves"] {
        said += &server.page(page);
    }
    assert!(!said.contains(HIDDEN), "{said}");
    // Nobody adds a command without one here.
    let help = project.onsager(&["--help"]).stdout;
    let (_, listed) = help.split_once("Commands:\n").expect("commands");
    let listed = listed.lines().take_while(|line| !line.is_empty());
    for line in listed.filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.split_whitespace().next().expect("a name");
        let apart = ["help", "serve"].contains(&name);
        assert!(apart || commands.iter().any(|words| words[0] == name), "{name}");
    }
    assert!(said.contains("going on without `lab`"), "{said}");
    for file in files(&project.path(".")) {
        let bytes = fs::read(project.path(".").join(&file)).expect("a file");
        assert!(!String::from_utf8_lossy(&bytes).contains(HIDDEN), "{}", file.display());
    }
}

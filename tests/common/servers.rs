//! Servers that remote stores lie on, for tests: a folder, S3 as moto plays it, and a proxy between that does what goes wrong on a line.

use super::{Project, Ran, ran, repository};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The key that a test logs in with. It must turn up nowhere.
pub const KEY: &str = "AKIAONSAGERTESTKEY00";
/// And its secret.
pub const SECRET: &str = "correct-horse-battery-staple-0123456789";

/// The key that signs what a test pushes, the first of RFC 8032: as the CI of a project has it, whose jobs take each other's results.
pub const SIGNING: &str = "onsager-ed25519-secret:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

/// A process that ends with the test.
pub struct Served {
    child: Child,
    pub port: u16,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It ends when nobody can talk to it any more, with all that it started; or has ended by itself.
        drop(self.child.stdin.take());
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of the Python that `.ci/setup` makes.
fn checks() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("onsager-checks/bin")
}

/// S3 as moto plays it; none where it is not installed, which is said. It reads lines about nothing, and ends with this process.
pub fn moto() -> Option<Served> {
    let python = python_with("moto.server, flask", "moto")?;
    // Ends when this process does, however that ends.
    let script = "import sys, threading, os\n\
        from moto.server import ThreadedMotoServer\n\
        server = ThreadedMotoServer(ip_address='127.0.0.1', port=int(sys.argv[1]), verbose=False)\n\
        server.start()\n\
        sys.stdin.read()\n\
        os._exit(0)\n";
    let port = free_port();
    let child = Command::new(python)
        .args(["-c", script, &port.to_string()])
        .env("MOTO_S3_DEFAULT_KEY_BUFFER_SIZE", "1073741824")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("moto starts");
    Some(answering(Served { child, port }))
}

/// Waits until a server takes connections.
fn answering(served: Served) -> Served {
    let until = Instant::now() + Duration::from_secs(120);
    while TcpStream::connect(("127.0.0.1", served.port)).is_err() {
        assert!(Instant::now() < until, "the server does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    served
}

/// The Python of a folder of its own among the checks that has these modules; none where they are not installed, which is said.
pub fn python_of(folder: &str, modules: &str, packages: &str) -> Option<PathBuf> {
    having(checks().with_file_name(folder).join("bin/python"), modules, packages)
}

/// The Python that has these modules; none where they are not installed, which is said.
pub fn python_with(modules: &str, package: &str) -> Option<PathBuf> {
    having(checks().join("python"), modules, package)
}

fn having(python: PathBuf, modules: &str, package: &str) -> Option<PathBuf> {
    let there = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    if there.is_ok_and(|there| there.status.success()) {
        return Some(python);
    }
    println!("skipped: no {package} in {}: .ci/setup installs it", checks().display());
    None
}

/// A tracking server of MLflow with a data base of its own below this folder; none where it is not installed, which is said.
pub fn mlflow(folder: &Path) -> Option<Served> {
    let python = python_with("mlflow.server", "mlflow")?;
    // Ends with all that it started when this process does, however that ends.
    let script = "import os, signal, subprocess, sys\n\
        words = [sys.executable, '-m', 'mlflow', 'server', '--host', '127.0.0.1', '--port', sys.argv[1], '--workers', '1']\n\
        words += ['--backend-store-uri', 'sqlite:///' + sys.argv[2] + '/mlflow.db', '--artifacts-destination', sys.argv[2]]\n\
        server = subprocess.Popen(words, start_new_session=True, stdin=subprocess.DEVNULL)\n\
        sys.stdin.read()\n\
        os.killpg(server.pid, signal.SIGKILL)\n";
    let port = free_port();
    let child = Command::new(python)
        .args(["-c", script, &port.to_string()])
        .arg(folder)
        .current_dir(folder)
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mlflow starts");
    Some(answering(Served { child, port }))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// The moto of this test program: starting one takes seconds.
pub fn shared_moto() -> Option<&'static Served> {
    static MOTO: OnceLock<Option<Served>> = OnceLock::new();
    MOTO.get_or_init(moto).as_ref()
}

/// A proxy in front of a server.
pub fn proxy(server: &Served) -> Served {
    let mut child = Command::new("python3")
        .arg(repository().join("tests/common/proxy.py"))
        .arg(server.port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the proxy starts");
    let mut line = String::new();
    let out = child.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("its port");
    Served { child, port: line.trim().parse().expect("a port") }
}

impl Served {
    /// Sends a request, and gives the body of the answer.
    pub fn request(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    /// What is to go wrong from now on.
    pub fn faults(&self, faults: Value) {
        self.request("POST", "/__faults", &faults.to_string());
    }

    /// How many requests there were since it was asked last.
    pub fn requests(&self) -> u64 {
        self.request("GET", "/__requests", "").parse().expect("a number")
    }
}

/// A place for a remote store.
pub struct Place {
    pub url: String,
    /// Of a server of one's own.
    pub port: Option<u16>,
    folder: Option<tempfile::TempDir>,
}

impl Place {
    /// A folder.
    pub fn folder() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("file://{}/store", folder.path().display());
        Place { url, port: None, folder: Some(folder) }
    }

    /// A new bucket of a server, reached by this port.
    pub fn bucket(server: &Served, port: u16) -> Place {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let bucket = format!("bucket-{number}");
        server.request("PUT", &format!("/{bucket}"), "");
        Place { url: format!("s3://{bucket}/some/prefix"), port: Some(port), folder: None }
    }

    /// A new prefix of the bucket `onsager` of another server on this machine, which `ONSAGER_S3_PORT` names: of `benches/remote/ceph.sh`,
    /// started with the credentials of the test. None where there is none.
    pub fn given() -> Option<Place> {
        let port = std::env::var("ONSAGER_S3_PORT").ok()?.parse().expect("a port");
        let part = tempfile::tempdir().expect("a folder");
        let name = part.path().file_name().and_then(|name| name.to_str()).expect("a name").replace('.', "");
        Some(Place { url: format!("s3://onsager/{name}"), port: Some(port), folder: None })
    }

    /// The folder that it is.
    pub fn path(&self) -> PathBuf {
        self.folder.as_ref().expect("a folder").path().join("store")
    }

    /// The digests of the objects that lie there.
    pub fn objects(&self) -> Vec<String> {
        let names: Vec<String> = match self.port {
            None => files(&self.path().join("cas")).iter().map(|path| path.display().to_string()).collect(),
            Some(_) => {
                let (bucket, prefix) = self.bucket_and_prefix();
                let prefix = format!("{prefix}/cas/").replace('/', "%2F");
                let listed = self.curl(&[], &[format!("{bucket}?list-type=2&max-keys=1000&prefix={prefix}")]);
                assert!(listed.contains("<IsTruncated>false"), "{listed}");
                let keys = listed.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
                keys.map(|(key, _)| key.to_owned()).collect()
            }
        };
        names.iter().filter_map(|name| name.rsplit('/').next()).map(str::to_owned).collect()
    }

    /// Removes objects behind everybody's back.
    pub fn remove(&self, digests: &[&String]) {
        let name = |digest: &&String| format!("cas/{}/{digest}", &digest[..2]);
        match self.port {
            None => digests
                .iter()
                .for_each(|digest| std::fs::remove_file(self.path().join(name(digest))).expect("an object")),
            Some(_) => {
                let (bucket, prefix) = self.bucket_and_prefix();
                let all: Vec<String> =
                    digests.iter().map(|digest| format!("{bucket}/{prefix}/{}", name(digest))).collect();
                all.chunks(50).for_each(|some| _ = self.curl(&["-X", "DELETE"], some));
            }
        }
    }

    fn bucket_and_prefix(&self) -> (&str, &str) {
        self.url.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).expect("a bucket")
    }

    /// Asks the server for these paths, with the credentials of the test.
    fn curl(&self, words: &[&str], paths: &[String]) -> String {
        let port = self.port.expect("a server");
        let mut command = Command::new("curl");
        command.args(["-sf", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &format!("{KEY}:{SECRET}")]);
        command.args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]).args(words);
        command.args(paths.iter().map(|path| format!("http://127.0.0.1:{port}/{path}")));
        let answered = ran(command.output().expect("curl"));
        assert_eq!(answered.status, 0, "{}", answered.stderr);
        answered.stdout
    }

    /// Makes it the default of a project.
    pub fn add_to(&self, project: &Project) {
        let mut text = format!("[remote.lab]\nurl = \"{}\"\ndefault = true\n", self.url);
        if let Some(port) = self.port {
            text += &format!("endpoint = \"http://127.0.0.1:{port}\"\nregion = \"us-east-1\"\n");
        }
        project.write("onsager.toml", &text);
    }
}

/// The program in a project, with the credentials of the test, and its key.
pub fn command(project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.command(arguments);
    command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET).env("ONSAGER_KEY", SIGNING);
    command.env("HOME", project.path(".")).env_remove("AWS_PROFILE").env_remove("AWS_ENDPOINT_URL");
    command
}

/// The same, until it ends.
pub fn onsager(project: &Project, arguments: &[&str]) -> Ran {
    ran(command(project, arguments).output().expect("the program starts"))
}

/// Every file below a folder, by its path from there.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    let files = all.filter(|found| found.file_type().is_file());
    files.map(|found| found.path().strip_prefix(folder).expect("below").to_owned()).collect()
}

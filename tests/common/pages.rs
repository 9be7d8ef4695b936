//! `onsager serve`, and what it answers.

use crate::common::Project;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server, which ends with the test.
pub struct Server {
    pub child: Child,
    pub port: String,
    pub token: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Server {
    pub fn of(project: &Project) -> Server {
        Server::start(project.command(&["serve"]))
    }

    pub fn start(mut command: Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let (before, token) = line.trim().split_once("/?token=").expect("an address");
        let port = before.rsplit(':').next().expect("a port").to_owned();
        assert!(before.contains("http://127.0.0.1:"), "{line}");
        Server { port, token: token.to_owned(), child }
    }

    pub fn connect(&self, request: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{}", self.port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a limit");
        stream.write_all(request.as_bytes()).expect("it reads");
        BufReader::new(stream)
    }

    /// The answer to these lines.
    pub fn raw(&self, request: &str) -> Answer {
        let mut all = Vec::new();
        self.connect(request).read_to_end(&mut all).expect("an answer");
        let all = String::from_utf8_lossy(&all).into_owned();
        let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Answer { status, headers, body: body.to_owned() }
    }

    pub fn ask(&self, path: &str, headers: &[&str]) -> Answer {
        let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        self.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{more}\r\n",
            self.port
        ))
    }

    /// A page, with the token.
    pub fn get(&self, path: &str) -> Answer {
        self.ask(path, &[&format!("Authorization: Bearer {}", self.token)])
    }

    /// The page, which must be there.
    pub fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// What is sent while somebody listens.
    pub fn follow(&self, path: &str, last: Option<&str>) -> Events {
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let token = &self.token;
        let mut lines = self.connect(&format!(
            "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n{last}\r\n"
        ));
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(lines.read_line(&mut line).expect("a line") > 0, "no head");
        }
        Events { lines }
    }
}

pub struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    /// The next event: its id and its data.
    pub fn next(&mut self) -> (String, Value) {
        let (mut id, mut data) = (String::new(), Value::Null);
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).expect("a line") > 0, "the server has gone");
            if let Some(text) = line.strip_prefix("id: ") {
                text.trim().clone_into(&mut id);
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = serde_json::from_str(text).expect("JSON");
            } else if line.trim().is_empty() && data != Value::Null {
                return (id, data);
            }
        }
    }
}

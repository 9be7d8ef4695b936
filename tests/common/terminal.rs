//! A program in a terminal of its own, which `script` of util-linux makes.

use super::Project;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Longer than anything takes, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program in a terminal of its own.
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// Everything that it wrote.
    seen: String,
    screen: Screen,
}

/// What stands on a terminal: as little of one as these programs need.
struct Screen {
    cells: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// The beginning of a sequence whose end has not come yet.
    rest: String,
}

impl Screen {
    fn new() -> Screen {
        Screen { cells: vec![vec![' '; 80]; 24], row: 0, column: 0, rest: String::new() }
    }

    fn write(&mut self, text: &str) {
        let all = std::mem::take(&mut self.rest) + text;
        let mut rest = all.as_str();
        while let Some(c) = rest.chars().next() {
            if let Some(sequence) = rest.strip_prefix("\u{1b}[") {
                let Some(end) = sequence.find(|c: char| c.is_ascii_alphabetic()) else { break };
                self.obey(&sequence[..end], sequence.as_bytes()[end]);
                rest = &sequence[end + 1..];
                continue;
            }
            if rest == "\u{1b}" {
                break;
            }
            rest = &rest[c.len_utf8()..];
            match c {
                '\r' => self.column = 0,
                '\n' => self.row = (self.row + 1).min(23),
                c if !c.is_control() => {
                    if let Some(cell) = self.cells[self.row].get_mut(self.column) {
                        *cell = c;
                    }
                    self.column += 1;
                }
                _ => {}
            }
        }
        rest.clone_into(&mut self.rest);
    }

    fn obey(&mut self, numbers: &str, order: u8) {
        match order {
            b'H' => {
                let mut numbers = numbers.split(';').map(|number| number.parse().unwrap_or(1usize));
                self.row = numbers.next().unwrap_or(1).clamp(1, 24) - 1;
                self.column = numbers.next().unwrap_or(1).max(1) - 1;
            }
            b'J' => self.cells = vec![vec![' '; 80]; 24],
            _ => {}
        }
    }

    fn text(&self) -> String {
        self.cells.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Terminal {
    /// None where there is no `script` of util-linux, which makes terminals.
    pub fn of(project: &Project, command: &str, env: &[(&str, &str)]) -> Option<Terminal> {
        if !Command::new("script").arg("--version").output().is_ok_and(|out| out.status.success()) {
            println!("skipped: no `script` of util-linux");
            return None;
        }
        let program = env!("CARGO_BIN_EXE_onsager");
        let line = format!("stty rows 24 cols 80; exec {program} {command}");
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &line, "/dev/null"]).current_dir(project.path(""));
        script.env("TERM", "xterm").env("XDG_CONFIG_HOME", project.path(".config"));
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "ONSAGER_LOG"] {
            script.env_remove(name);
        }
        script.envs(env.iter().copied());
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let (keys, mut out) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut block = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut block) {
                if sender.send(block[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Some(Terminal { child, keys, output, seen: String::new(), screen: Screen::new() })
    }

    /// Waits until this stands on the screen.
    pub fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.screen.text().contains(text) {
            let left = until.saturating_duration_since(Instant::now());
            let block = self.output.recv_timeout(left);
            let block = block.unwrap_or_else(|_| panic!("no `{text}` on\n{}", self.screen.text()));
            let more = String::from_utf8_lossy(&block);
            self.screen.write(&more);
            self.seen += &more;
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("keys");
    }

    /// Its exit code, when it has ended.
    pub fn end(mut self) -> (i32, String) {
        let status = self.child.wait().expect("it ends");
        while let Ok(block) = self.output.recv_timeout(PATIENCE) {
            self.seen += &String::from_utf8_lossy(&block);
        }
        (status.code().unwrap_or(-1), std::mem::take(&mut self.seen))
    }
}
